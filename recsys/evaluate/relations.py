"""What each relation brings: its share of the messages, and what the model is worth without it."""

from collections.abc import Iterable, Mapping

import numpy as np
from scipy import sparse

from recsys.core.arrays import Int32Array
from recsys.core.intervals import bootstrap_means, difference
from recsys.evaluate.document import RelationRow
from recsys.evaluate.metrics import rank_metrics

Mass = Mapping[str, Mapping[str, float]]
"""By node type that hears, the share of each relation by name (`recsys.model.mass`)."""

_HEARING = ("user", "item")


def relation_rows(
    mass: Mass,
    parts: Mapping[str, str],
    lists: Mapping[str, Int32Array],
    main: Int32Array,
    users: Int32Array,
    held_out: sparse.csr_matrix,
    deciding: str,
    draws: int,
    seed: int,
) -> list[RelationRow]:
    """One row for each part of the graph, the largest share first.

    parts: by relation, the part that it belongs to. lists: by part, the lists (users, k) of the
    model trained without it; main: those of the model itself.
    """
    rows = []
    for part in dict.fromkeys([*parts.values(), *lists]):
        of_part = [relation for relation, one in parts.items() if one == part]
        shares = {
            kind: _sum(mass[kind], of_part)
            for kind in _HEARING
            if any(one in mass.get(kind, {}) for one in of_part)
        }
        worth = (
            _worth(main, lists[part], users, held_out, deciding, draws, seed)
            if part in lists
            else {}
        )
        rows.append(RelationRow(name=part, mass=shares, **worth))
    return sorted(rows, key=lambda row: -max(row.mass.values(), default=0.0))


def _sum(mass: Mapping[str, float], relations: Iterable[str]) -> float:
    return sum(mass.get(relation, 0.0) for relation in relations)


def _worth(
    main: Int32Array,
    without: Int32Array,
    users: Int32Array,
    held_out: sparse.csr_matrix,
    deciding: str,
    draws: int,
    seed: int,
) -> dict[str, float]:
    """The main model minus the other, paired over users."""
    k = int(deciding.partition("@")[2])
    own, other = (
        rank_metrics(one, users, held_out, [k]).per_user[deciding] for one in (main, without)
    )
    means = bootstrap_means(np.stack([own, other], axis=1), draws, seed)
    apart = difference(own, other, means[:, 0], means[:, 1])
    return {
        "without": float(other.mean()),
        "worth": apart.mean,
        "low": apart.low,
        "high": apart.high,
    }
