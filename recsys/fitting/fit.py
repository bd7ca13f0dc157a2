"""From a phase to a trained model, and from that to its bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys.bundle.bundle import Bundle
from recsys.bundle.neighbours import neighbours_into_users
from recsys.bundle.new_bundle import new_bundle
from recsys.bundle.parts.cold_items import ColdItems
from recsys.bundle.parts.segments import Segments, count_segments
from recsys.bundle.parts.similar_items import SimilarBy, SimilarItems
from recsys.bundle.parts.user_metrics import UserMetrics
from recsys.core.arrays import FloatArray
from recsys.core.config import ModelConfig
from recsys.core.encoder import Embeddings
from recsys.core.errors import ConfigError, nearest
from recsys.core.progress import QUIET, Progress
from recsys.encode.history_scores import BlendedScorer, searched
from recsys.fitting.cold_items import item_map, separators_of, with_cold_items
from recsys.graph.schema import Graph
from recsys.phases.phase import Phase
from recsys.scores.most_popular import ItemPopularity, item_popularity
from recsys.scores.trained_vectors import decayed_edges
from recsys.search.exact import VectorScorer
from recsys.search.tuning import TunedIndex, tune
from recsys.train.loop import Trained, Watch, train
from recsys.train.probe import Settings
from recsys.train.problem import Problem
from recsys.train.ranks import ALONE, Ranks
from recsys.train.warm_start import TrainedStates, WarmStart


def problem_of(
    phase: Phase, graph: Graph, model: ModelConfig, warm: WarmStart | None = None
) -> Problem:
    """What a training on a phase learns.

    Args:
        phase: what is learned from.
        graph: of the phase.
        model: what the network is.
        warm: states of an earlier training to start from.
    """
    return Problem(
        phase.interactions,
        graph,
        model,
        phase.config.seed,
        start=warm.states if warm else None,
        shared=warm.shared if warm else None,
        graph_config=phase.graph_config,
        first_epoch=warm.epoch if warm else 0,
    )


def start_from(phase: Phase, graph: Graph, states: TrainedStates, epoch: int = 0) -> WarmStart:
    """States of an earlier training in the ids of a phase.

    Args:
        phase: what is learned from.
        graph: of the phase.
        states: of the earlier training.
        epoch: that training goes on after.
    """
    config = phase.config
    return states.aligned(graph, phase.interactions, config.model.width, config.seed, epoch)


def fit_phase(
    phase: Phase,
    graph: Graph,
    model: ModelConfig,
    folder: Path | None = None,
    epochs: int | None = None,
    warm: WarmStart | None = None,
    progress: Progress = QUIET,
    watch: Watch | None = None,
    settings: Settings | None = None,
    ranks: Ranks = ALONE,
    threads: int | None = None,
) -> Trained:
    """Train `model` on a phase; without `epochs`, NDCG on what is held out from the phase decides
    when to stop.

    Args:
        phase: what is learned from.
        graph: of the phase.
        model: what the network is.
        folder: for checkpoints; a killed training is continued from there.
        epochs: a fixed number of them.
        warm: states of an earlier training to start from.
        progress: told what happens.
        watch: told every epoch; may raise to end it.
        settings: what the configuration leaves open, as an earlier phase settled it.
        ranks: the processes that train together. Each judges its part of the users.
        threads: of torch; those of the configuration when None.
    """
    model = phase.settled(model)
    validate = None
    # Nothing is held out from "serve", whose epochs are given.
    may_validate = epochs is None and phase.splits is not None
    if may_validate and len(phase.judge.held_out_users):

        def validate(embeddings: Embeddings) -> FloatArray:
            users = phase.judge.held_out_users
            own = users[ranks.part(len(users))]
            values = np.empty(0)
            if len(own):
                values = phase.judge.per_user(VectorScorer(embeddings.users, embeddings.items), own)
            return ranks.gathered(values, len(users))

    return train(
        problem_of(phase, graph, model, warm),
        phase.config.train,
        folder,
        validate=validate,
        epochs=epochs,
        threads=phase.config.threads if threads is None else threads,
        progress=progress,
        watch=watch,
        settings=settings,
        ranks=ranks,
    )


def tuned_index(
    phase: Phase, scorer: VectorScorer | BlendedScorer, progress: Progress = QUIET
) -> TunedIndex:
    """How the item vectors of a phase are searched: `search.tuning.tune`."""
    vectors = searched(scorer)
    return tune(
        vectors.item_vectors,
        vectors.user_vectors,
        phase.config.index,
        seed=phase.config.seed,
        popularity=phase.interactions.popularity(phase.target),
        progress=progress,
    )


def bundle_of(
    phase: Phase,
    graph: Graph,
    embeddings: Embeddings,
    scorer: VectorScorer | BlendedScorer,
    tuned: TunedIndex,
    model_card: Mapping[str, Any],
    test_values: pl.DataFrame | None = None,
    half_life_days: float | None = None,
    similar_by: SimilarBy = "vectors",
) -> Bundle:
    """The bundle of a phase, not written yet.

    Args:
        phase: whose interactions the model was trained on.
        graph: of that phase.
        embeddings: what training gave.
        scorer: how users of the phase are scored.
        tuned: the index over their vectors.
        model_card: how the model was made.
        test_values: USER_ID and a column for each metric of the tested model; None for none.
        half_life_days: half-life of what visitors of whom nothing is known get
            (`scores.most_popular.choose_popularity`).
        similar_by: by what items are similar (`scores.similar_items.choose_similar`).
    """
    popularity = item_popularity(phase.histories, phase.target, half_life_days)
    added = histories = None
    if isinstance(scorer, BlendedScorer):
        added, histories = scorer.added, scorer.histories.items
    card = dict(model_card)
    if half_life_days is not None:
        card["popular_days"] = half_life_days
    neighbours = neighbours_into_users(graph.relations)
    cold_map = item_map(phase, graph, embeddings)
    bundle = new_bundle(
        phase.interactions,
        embeddings,
        decayed_edges(neighbours, phase.histories, embeddings.encoder),
        phase.target,
        seen_behaviors=phase.seen_behaviors,
        duplicates=phase.config.clean.duplicates,
        item_table=phase.item_table,
        separators=separators_of(phase),
        labels=graph.labels,
        added=added,
        histories=histories,
        recent=None if half_life_days is None else popularity.shares,
        tuned=tuned,
        model_card=card,
        more=[
            None if cold_map is None else ColdItems(cold_map),
            None if test_values is None else UserMetrics(test_values.lazy()),
            SimilarItems(similar_by),
            _segments(phase, popularity),
        ],
    )
    return with_cold_items(bundle, phase) if phase.config.index.cold_items else bundle


def _segments(phase: Phase, popularity: ItemPopularity) -> Segments | None:
    """What users of each value of index.segment had. Raises ConfigError when the user table
    has no such column.
    """
    name = phase.config.index.segment
    if name is None:
        return None
    if name not in phase.user_table.columns:
        hint = nearest(name, phase.user_table.columns) or f"It has {phase.user_table.columns}"
        raise ConfigError(f"index.segment = {name!r} is not a column of the user table", hint)
    return count_segments(phase.user_table[name], popularity.pairs, popularity.users)
