"""What the cost of a run follows from: counts of a split log, and no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import polars as pl

from recsys.core.edge_rows import EdgeRows
from recsys.core.tables import BEHAVIOR, USER
from recsys.evaluate.deciding import VALIDATION_USERS
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits


@dataclass(frozen=True)
class Counts:
    """Of one log, split.

    rows: of the cleaned log, all behaviours.
    users, items: of the whole log.
    pairs: rows of the target behaviour in train.
    auxiliary_rows: rows of other behaviours in train.
    relation_rows: rows of files of edges.
    validation_pairs, test_pairs: held out.
    validation_users: of whom choices are made.
    test_users: who have some.
    has_order: whether the log says what each user did after what.
    has_clock: whether it has moments.
    """

    rows: int
    users: int
    items: int
    pairs: int
    auxiliary_rows: int
    relation_rows: int
    validation_pairs: int
    test_pairs: int
    validation_users: int
    test_users: int
    has_order: bool
    has_clock: bool

    @property
    def nodes(self) -> int:
        """Users and items."""
        return self.users + self.items

    @property
    def edges(self) -> int:
        """Of a graph, in both directions."""
        return 2 * (self.pairs + self.auxiliary_rows + self.relation_rows)

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)

    def at(self, phase: str) -> "Counts":
        """With the pairs that a phase learns from: train; train and validation; everything."""
        pairs = self.pairs
        if phase != "select":
            pairs += self.validation_pairs
        if phase == "serve":
            pairs += self.test_pairs
        return replace(self, pairs=pairs)


def count(
    log: CodedLog, splits: Splits, target: str | None, relations: Sequence[EdgeRows] = ()
) -> Counts:
    """Counts of a split log.

    Args:
        log: in codes.
        splits: of it.
        target: the behaviour to predict; the only one when None.
        relations: rows of `graph.relations`.
    """
    target = target or log.behaviors[0]
    pairs = len(splits.train)
    if BEHAVIOR in splits.train.columns:
        pairs = splits.train.filter(pl.col(BEHAVIOR) == target).height
    return Counts(
        rows=log.rows.select(pl.len()).collect().item(),
        users=len(log.users),
        items=len(log.items),
        pairs=pairs,
        auxiliary_rows=len(splits.train) - pairs,
        relation_rows=sum(relation.rows.height for relation in relations),
        validation_pairs=len(splits.validation),
        test_pairs=len(splits.test),
        validation_users=min(splits.validation[USER].n_unique(), VALIDATION_USERS),
        test_users=splits.test[USER].n_unique(),
        has_order=log.has_order,
        has_clock=log.has_clock,
    )
