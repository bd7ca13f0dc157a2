"""One user and one item explained: what the tests of encoders and words hold against loops."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from recsys.core.arrays import Float32Array
from recsys.encode.fold_in import Neighbours, UserEncoder
from recsys.lookup.explanations.parts import (
    Explanations,
    Part,
    RelationShares,
    trace_users,
)
from recsys.lookup.explanations.words import Reason


class Explained(NamedTuple):
    """score = Σ part values + rest."""

    score: float
    parts: list[Part]
    rest: float


def explain(
    encoder: UserEncoder,
    neighbours: Neighbours,
    item_vector: Float32Array,
    layer0: Float32Array | None = None,
) -> Explained:
    """The inner product of one user, encoded anew, and one item."""
    [user] = trace_users(encoder, neighbours, layer0)
    explanations = user.explain(np.zeros(1, np.int64), item_vector[None])
    return Explained(
        float(explanations.scores[0]), explanations.parts(0), float(explanations.rest[0])
    )


def explanations_of(item: int, parts: Sequence[Part]) -> Explanations:
    """As if the score of an item had these parts and no rest."""
    nothing = np.zeros(1)
    explanations = Explanations(np.array([item]), nothing, [], nothing, nothing, nothing)
    for part in parts:
        value = np.array([[part.value]])
        neighbour = np.array([part.neighbour])
        shares = RelationShares(part.relation, part.source, neighbour, value)
        explanations = explanations.with_shares([shares])
    return explanations


def require_same_reasons(reasons: Sequence[Reason], others: Sequence[Reason]) -> None:
    """Equal up to the last bits of their shares, in which one product of many items differs from one
    of a single item.
    """
    assert [reason["share"] for reason in reasons] == pytest.approx(
        [reason["share"] for reason in others], abs=1e-9
    )
    assert [{**reason, "share": None} for reason in reasons] == [
        {**reason, "share": None} for reason in others
    ]
