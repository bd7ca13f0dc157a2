"""What one phase of a run may learn from: its rows, ids, tables and graph.

There are three phases. "select" learns from the train rows, and validation chooses; "final" learns
from train and validation, and is tested once; "serve" learns from the whole log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self

import polars as pl
from scipy import sparse

from recsys.closed_form.cooccurrence import cooccurrence
from recsys.content.features import ContentFeature, ContentRows
from recsys.core.config import GraphConfig, ModelConfig, RunConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.errors import ConfigError, UsageError
from recsys.core.history import UserHistories, user_histories
from recsys.core.interactions import Interactions, fit_interactions
from recsys.core.tables import BEHAVIOR, ITEM, USER, in_order
from recsys.graph.build import build_graph, require_behaviors, target_behavior
from recsys.graph.schema import Graph, NodeType
from recsys.graph.weights import automatic_half_life
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits, held_out_last, held_out_later

PhaseName = Literal["select", "final", "serve"]


@dataclass(frozen=True)
class PhaseData:
    """The rows of one phase, with internal ids fitted on them alone, and what follows from them.

    name: "select", "final" or "serve".
    log: the whole log in codes; the phase reads no more of it than its own rows.
    splits: train, validation and test rows; may be None for "serve".
    config: of the run.
    relations: rows of graph.relations (`recsys.logs.relations`), read for the whole log.
    contents: texts and pictures of items, read for all that are known (`recsys.content`).
    given_graph: stands in place of the graph that the configuration asks for (`with_graph`).
    """

    name: PhaseName
    log: CodedLog
    splits: Splits | None
    config: RunConfig
    relations: Sequence[EdgeRows] = ()
    contents: Sequence[ContentRows] = ()
    given_graph: Graph | None = None

    @property
    def required_splits(self) -> Splits:
        """Train, validation and test rows. Raises UsageError when there are none."""
        if self.splits is None:
            raise UsageError(f"the phase {self.name!r} needs splits", "Split the log first")
        return self.splits

    @cached_property
    def rows(self) -> pl.DataFrame:
        """Coded rows that this phase may learn from."""
        if self.name != "serve":
            return self.required_splits.rows(self.name)
        rows = in_order(self.log.rows.collect())
        columns = [column for column in (USER, ITEM, BEHAVIOR) if column in rows.columns]
        # Published files may hold a pair in train and test: it is one edge.
        return rows.unique(columns, keep="first", maintain_order=True)

    @cached_property
    def interactions(self) -> Interactions:
        """The rows under internal ids."""
        log = self.log
        return fit_interactions(self.rows, log.users, log.items, log.behaviors, log.time_kind)

    @cached_property
    def histories(self) -> UserHistories:
        """What each user did in this phase, oldest first."""
        return user_histories(self.interactions)

    @cached_property
    def target(self) -> str:
        """The behaviour that lists should predict."""
        return target_behavior(self.interactions.behaviors, self.config.graph)

    @cached_property
    def seen_behaviors(self) -> tuple[str, ...]:
        """Behaviours that hide an item from its user.

        Raises ConfigError for one that the log does not have, and where `evaluate.task` asks for
        more than `evaluate.seen_behaviors` names.
        """
        named = self.config.evaluate.seen_behaviors
        require_behaviors("evaluate.seen_behaviors", named or [], self.interactions)
        if self.config.evaluate.task == "new":
            _require_all(named, self.interactions.behaviors)
            return self.interactions.behaviors
        return tuple(named or [self.target, *self.config.graph.negative_behaviors])

    @cached_property
    def seen(self) -> sparse.csr_matrix:
        """(users, items): what is never recommended again."""
        return self.interactions.matrix(self.seen_behaviors)

    @cached_property
    def item_table(self) -> pl.DataFrame:
        """Rows of the item table by internal item id."""
        return self.log.item_table[self.interactions.item_codes]

    @cached_property
    def user_table(self) -> pl.DataFrame:
        """Rows of the user table by internal user id."""
        return self.log.user_table[self.interactions.user_codes]

    @cached_property
    def similar(self) -> dict[NodeType, sparse.csr_matrix]:
        """By node type, the similarities that the graph links items or users by.

        They are counted in the rows of this phase alone.
        """
        pairs = self.interactions.matrix((self.target,))
        similarities = {}
        if self.config.graph.item_neighbours is not None:
            settings = self.config.graph.item_neighbours.model_dump()
            similarities[ITEM] = cooccurrence(pairs, **settings)
        if self.config.graph.user_neighbours is not None:
            settings = self.config.graph.user_neighbours.model_dump()
            similarities[USER] = cooccurrence(pairs.T.tocsr(), **settings)
        return similarities

    @cached_property
    def content_features(self) -> list[ContentFeature]:
        """Texts and pictures as vectors of the items, by internal item id.

        Encoders that are fitted are so on the items of this phase alone.
        """
        item_ids = self.interactions.items.ids
        return [content.fitted(item_ids, self.config.seed) for content in self.contents]

    @property
    def until(self) -> int | None:
        """The last moment that the phase knows; no limit for what is served, or without a clock."""
        moments = self.interactions.moments
        if self.name == "serve" or moments is None:
            return None
        return int(moments.max(initial=0))

    @cached_property
    def held_out_later(self) -> bool:
        """Whether what is held out comes later than what is learned from.

        See `logs.split.held_out_later`.
        """
        return held_out_later(self.log, self.config.split)

    @cached_property
    def held_out_last(self) -> bool:
        """Whether what is held out ends the histories. See `logs.split.held_out_last`."""
        return held_out_last(self.log, self.config.split)

    def settled(self, model: ModelConfig) -> ModelConfig:
        """A model with `recency` as the split asks for it, where that was left open."""
        if model.recency is not None:
            return model
        recency = self.held_out_last or model.causal_block
        return model.model_copy(update={"recency": recency})

    @cached_property
    def graph_config(self) -> GraphConfig:
        """What the graph is built with.

        half_life_days = "auto" is a number of days here, or "none".
        """
        config = self.config.graph
        if config.half_life_days != "auto":
            return config
        days = automatic_half_life(self.interactions) if self.held_out_later else None
        return config.model_copy(update={"half_life_days": days or "none"})

    @cached_property
    def graph(self) -> Graph:
        """The graph of these rows, built when it is first asked for."""
        if self.given_graph is not None:
            return self.given_graph
        return build_graph(
            self.interactions,
            self.graph_config,
            self.item_table,
            self.user_table,
            self.similar,
            self.relations,
            self.until,
        )

    def with_graph(self, graph: Graph) -> Self:
        """The same rows with another graph: one read from a file, or one without some part."""
        return replace(self, given_graph=graph)


def _require_all(named: Sequence[str] | None, behaviors: Sequence[str]) -> None:
    """Raises ConfigError where some are named, and not all of the `behaviors` of the log."""
    absent = [behavior for behavior in behaviors if behavior not in (named or behaviors)]
    if absent:
        raise ConfigError(
            'evaluate.task = "new" hides the items of every behaviour, and '
            f"evaluate.seen_behaviors = {list(named or [])} leaves out {', '.join(absent)}",
            'Leave evaluate.seen_behaviors out, or set evaluate.task = "any"',
        )
