"""The three phases of a run: what each may learn from, what is held out from it, and how a scorer
does on that.

select: train rows; validation decides. final: train + validation; the test is scored once. serve:
the whole log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import polars as pl
from scipy import sparse

from recsys.closed_form.cooccurrence import cooccurrence
from recsys.core.arrays import Int32Array
from recsys.core.config import GraphConfig, RunConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.errors import UsageError
from recsys.core.interactions import HeldOut, Interactions, fit_interactions, hold_out
from recsys.core.ranking import Scorer
from recsys.core.tables import BEHAVIOR, ITEM, USER, in_order
from recsys.evaluate.metrics import evaluable_users, rank_metrics
from recsys.graph.build import build_graph, require_behaviors, target_behavior
from recsys.graph.schema import Graph, NodeType
from recsys.graph.weights import automatic_half_life
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits, held_out_later
from recsys.search.exact import rank

PhaseName = Literal["select", "final", "serve"]


@dataclass(frozen=True)
class Phase:
    """The rows of one phase with dense ids fitted on them alone. `splits` may be None for "serve".

    relations: rows of graph.relations (recsys.logs.relations), read for the whole log.
    """

    name: PhaseName
    log: CodedLog
    splits: Splits | None
    config: RunConfig
    relations: Sequence[EdgeRows] = ()

    @cached_property
    def rows(self) -> pl.DataFrame:
        """Coded rows that this phase may learn from."""
        if self.name == "serve":
            rows = in_order(self.log.rows.collect())
            # Published files may hold a pair in train and test: it is one edge.
            return rows.unique(
                [c for c in (USER, ITEM, BEHAVIOR) if c in rows.columns],
                keep="first",
                maintain_order=True,
            )
        return self.required_splits.rows(self.name)

    @cached_property
    def interactions(self) -> Interactions:
        return fit_interactions(self.rows, self.log.users, self.log.items, self.log.behaviors)

    @cached_property
    def target(self) -> str:
        return target_behavior(self.interactions, self.config.graph)

    @cached_property
    def held_out(self) -> HeldOut:
        """Validation pairs for select, test pairs for final. Raises UsageError for serve, which
        sees everything.
        """
        if self.name == "serve":
            raise UsageError("nothing is held out from the phase 'serve'")
        splits = self.required_splits
        return hold_out(
            splits.validation if self.name == "select" else splits.test, self.interactions
        )

    @cached_property
    def held_out_matrix(self) -> sparse.csr_matrix:
        return self.held_out.matrix(self.interactions.num_users, self.interactions.num_items)

    @cached_property
    def held_out_users(self) -> Int32Array:
        """Warm users with something held out, ascending."""
        return evaluable_users(self.held_out_matrix)

    @cached_property
    def seen(self) -> sparse.csr_matrix:
        """(users, items): what is never recommended again."""
        return self.interactions.matrix(self.seen_behaviors)

    @cached_property
    def seen_behaviors(self) -> tuple[str, ...]:
        """Behaviours that hide an item from its user. Raises ConfigError for one that the log does
        not have.
        """
        named = self.config.evaluate.seen_behaviors or [
            self.target,
            *self.config.graph.negative_behaviors,
        ]
        require_behaviors("evaluate.seen_behaviors", named, self.interactions)
        return tuple(named)

    @cached_property
    def item_table(self) -> pl.DataFrame:
        """Rows of the item table by dense item id."""
        return self.log.item_table[self.interactions.item_codes]

    @cached_property
    def user_table(self) -> pl.DataFrame:
        """Rows of the user table by dense user id."""
        return self.log.user_table[self.interactions.user_codes]

    @cached_property
    def similar(self) -> dict[NodeType, sparse.csr_matrix]:
        """By node type, the similarities that the graph links items or users by: counted in this
        phase's rows alone.
        """
        pairs, graph = self.interactions.matrix((self.target,)), self.config.graph
        asked = {
            ITEM: (pairs, graph.item_neighbours),
            USER: (pairs.T.tocsr(), graph.user_neighbours),
        }
        return {
            node_type: cooccurrence(matrix, **neighbours.model_dump())
            for node_type, (matrix, neighbours) in asked.items()
            if neighbours is not None
        }

    @property
    def until(self) -> int | None:
        """The last moment that the phase knows; no limit for what is served, or without times."""
        time = self.interactions.time
        return None if self.name == "serve" or time is None else int(time.max(initial=0))

    @cached_property
    def held_out_later(self) -> bool:
        """Whether what is held out comes later than what is learned from: see
        `logs.split.held_out_later`.
        """
        return held_out_later(self.log, self.config.split)

    @cached_property
    def graph_config(self) -> GraphConfig:
        """What the graph is built with: half_life_days = "auto" is a number of days here, or
        "none".
        """
        config = self.config.graph
        if config.half_life_days != "auto":
            return config
        days = automatic_half_life(self.interactions) if self.held_out_later else None
        return config.model_copy(update={"half_life_days": days or "none"})

    def graph(self) -> Graph:
        tables = self.item_table, self.user_table
        return build_graph(
            self.interactions, self.graph_config, *tables, self.similar, self.relations, self.until
        )

    def ranked(self, scorer: Scorer, k: int, users: Int32Array | None = None) -> Int32Array:
        """(users, k) dense item ids: the lists of `scorer`, without what their users have seen.

        users: all of held_out_users when None.
        """
        judged = self.held_out_users if users is None else users
        return rank(scorer, judged, k, self.seen, threads=self.config.threads).items

    def ndcg(self, scorer: Scorer, users: Int32Array | None = None) -> float:
        """Mean NDCG@`train.metric_k` over the held-out users: the number that every choice of a run
        looks at.
        """
        k = self.config.train.metric_k
        judged = self.held_out_users if users is None else users
        return rank_metrics(
            self.ranked(scorer, k, judged), judged, self.held_out_matrix, [k]
        ).overall[f"ndcg@{k}"]

    @property
    def required_splits(self) -> Splits:
        """Raises UsageError when there are none."""
        if self.splits is None:
            raise UsageError(f"the phase {self.name!r} needs splits", "Split the log first")
        return self.splits
