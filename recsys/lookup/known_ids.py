"""External ids of a call as internal ids."""

import warnings
from collections.abc import Sequence

import numpy as np

from recsys.core.arrays import Int32Array
from recsys.core.ids import UNKNOWN, IdMap


def internal_ids_of(ids: IdMap, external_ids: Sequence[object]) -> Int32Array:
    """Raises UsageError for an unknown id."""
    return np.array([ids.internal(external_id) for external_id in external_ids], np.int32)


def known_ids_of(ids: IdMap, external_ids: Sequence[object]) -> Int32Array:
    """Those that are known, with a warning about the others. Raises UsageError where none is."""
    internal_ids = ids.lookup(external_ids)
    is_known = internal_ids != UNKNOWN
    if is_known.all():
        return internal_ids
    if not is_known.any():
        return internal_ids_of(ids, external_ids)
    unknown = []
    for external_id, known in zip(external_ids, is_known.tolist(), strict=True):
        if not known:
            unknown.append(str(external_id))
    warnings.warn(
        f"{len(unknown)} of {len(internal_ids)} {ids.kind}s are unknown and get no rows: "
        f"{unknown[:5]}",
        UserWarning,
        stacklevel=3,
    )
    known_ids: Int32Array = internal_ids[is_known]
    return known_ids
