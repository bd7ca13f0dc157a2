"""From a phase to a trained model, and from that to what a bundle is written from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from recsys.bundle.bundle import Contents, neighbours_into_users
from recsys.bundle.segments import Segments, count_segments
from recsys.core.config import ModelConfig
from recsys.core.encoder import Embeddings
from recsys.core.errors import ConfigError, nearest
from recsys.core.progress import QUIET, Progress
from recsys.encode.history_scores import BlendedScorer
from recsys.fitting.cold_items import item_map, separators_of, with_cold_items
from recsys.graph.schema import Graph
from recsys.phases.phase import Phase
from recsys.scores.most_popular import ItemPopularity, item_popularity
from recsys.scores.trained_vectors import faded
from recsys.search.exact import VectorScorer
from recsys.search.tuning import TunedIndex
from recsys.train.loop import Trained, Watch, train
from recsys.train.warm_start import WarmStart


def fit_phase(
    phase: Phase,
    graph: Graph,
    model: ModelConfig,
    folder: Path | None = None,
    epochs: int | None = None,
    warm: WarmStart | None = None,
    progress: Progress = QUIET,
    watch: Watch | None = None,
) -> Trained:
    """Train `model` on a phase; without `epochs`, NDCG on what is held out from the phase decides
    when to stop.

    folder: for checkpoints; a killed training is continued from there. watch: told every epoch; may
    raise to end it.
    """
    judged = epochs is None and phase.splits is not None and len(phase.judge.held_out_users) > 0
    return train(
        phase.interactions,
        graph,
        model,
        phase.config.train,
        phase.config.seed,
        folder,
        validate=(lambda found: phase.judge.ndcg(VectorScorer(found.users, found.items)))
        if judged
        else None,
        epochs=epochs,
        start=warm.states if warm else None,
        shared=warm.shared if warm else None,
        threads=phase.config.threads,
        progress=progress,
        graph_config=phase.graph_config,
        watch=watch,
    )


def bundle_contents(
    phase: Phase,
    graph: Graph,
    embeddings: Embeddings,
    scorer: VectorScorer | BlendedScorer,
    tuned: TunedIndex,
    model_card: Mapping[str, Any],
    test_values: pl.DataFrame | None = None,
    popular_days: float | None = None,
) -> Contents:
    """What the bundle of a phase is written from. scorer: how its users are scored. test_values: as
    in `Contents`.

    popular_days: half-life of what visitors of whom nothing is known get
    (`scores.most_popular.choose_popularity`).
    """
    took = item_popularity(phase.interactions, phase.target, popular_days)
    added, histories = (
        (scorer.added, scorer.histories.items)
        if isinstance(scorer, BlendedScorer)
        else (None, None)
    )
    contents = Contents(
        embeddings=embeddings,
        interactions=phase.interactions,
        target=phase.target,
        neighbours=faded(
            neighbours_into_users(graph.relations), phase.interactions, embeddings.encoder
        ),
        seen_behaviors=phase.seen_behaviors,
        item_table=phase.item_table,
        labels={kind: tuple(labels) for kind, labels in graph.labels.items()},
        index=tuned.index,
        index_card=tuned.card,
        model_card=model_card
        if popular_days is None
        else {**model_card, "popular_days": popular_days},
        added=added,
        histories=histories,
        test_values=test_values,
        separators=separators_of(phase),
        item_map=item_map(phase, graph, embeddings),
        user_segments=_segments(phase, took),
        popular=None if popular_days is None else took.shares,
    )
    return with_cold_items(contents, phase) if phase.config.index.cold_items else contents


def _segments(phase: Phase, took: ItemPopularity) -> Segments | None:
    """What users of each value of index.segment took. Raises ConfigError when the user table has no
    such column.
    """
    name = phase.config.index.segment
    if name is None:
        return None
    if name not in phase.user_table.columns:
        hint = nearest(name, phase.user_table.columns) or f"It has {phase.user_table.columns}"
        raise ConfigError(f"index.segment = {name!r} is not a column of the user table", hint)
    return count_segments(phase.user_table[name], took.pairs, took.users)
