"""A log with nothing to test on: what does best on rows held out, then a training on all of it."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.similar_items import SimilarBy
from recsys.content.features import ContentRows, read_contents
from recsys.core.config import RunConfig
from recsys.core.progress import Progress
from recsys.fitting.fit import bundle_of, fit_phase, start_from, tuned_index
from recsys.fitting.second_stage import choose_second_stage, fitted_to, with_second_stage
from recsys.graph.build import target_behavior
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits, split_log
from recsys.phases.phase import Phase
from recsys.scores.additions import blended, fit_history, fit_terms, with_history
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.choice import choose_blend
from recsys.scores.most_popular import choose_popularity
from recsys.scores.similar_items import choose_similar
from recsys.scores.trained_vectors import TrainedVectors
from recsys.search.exact import VectorScorer
from recsys.second_stage.trees import Trees
from recsys.train.loop import Trained
from recsys.train.probe import Settings
from recsys.train.warm_start import TrainedStates, WarmStart, states_of


class LogChoice(NamedTuple):
    """How all of a log is learnt; the defaults are for a log of which nothing is held out.

    epochs: of the training on the whole log; None for as many as it has where nothing ends it sooner.
    blend: what histories add to the vectors.
    half_life_days: half-life of what users of whom nothing is known get, as in `bundle_of`.
    settings: what the configuration of the training leaves open.
    similar_by: by what items are similar.
    trees: of the second stage; None for none.
    states: that the training on the whole log takes for its first epochs (`train.refit_share`);
        None where it goes through all of them.
    """

    epochs: int | None
    blend: Blend = NO_BLEND
    half_life_days: float | None = None
    settings: Settings | None = None
    similar_by: SimilarBy = "vectors"
    trees: Trees | None = None
    states: TrainedStates | None = None


def contents_of_all_items(
    log: CodedLog, config: RunConfig, progress: Progress
) -> list[ContentRows]:
    """The texts of all items that are known, those without a row included."""
    items = log.item_table
    if log.cold_items is not None:
        items = pl.concat([items, log.cold_items], how="diagonal_relaxed")
    contents, _ = read_contents(config.features, config.data, items, progress)
    return contents


def choose_on_held_out_rows(
    log: CodedLog, config: RunConfig, contents: Sequence[ContentRows], progress: Progress
) -> LogChoice:
    """What does best on the rows that `config.split` holds out.

    Args:
        log: All rows.
        config: Of the model and its training.
        contents: Texts of items.
        progress: Told of the training.
    """
    phase = Phase("final", log, _splits(log, config), config, contents=contents)
    trained = fit_phase(phase, phase.graph, config.model, progress=progress)
    vectors = TrainedVectors(phase.interactions, trained.embeddings, phase.graph)
    terms = fit_terms(phase, None, progress)
    blend = choose_blend(phase, vectors, progress, terms).blend
    embeddings = vectors.embeddings_of(blend.scaling)
    scaled = VectorScorer(embeddings.users, embeddings.items)
    added = fit_history(phase, scaled, blend, progress, terms)
    half_life_days = choose_popularity(phase).half_life_days
    trees = None
    if config.rank.model != "none":
        scorer = with_history(phase, scaled, added)
        choice = choose_second_stage(phase, scorer, half_life_days, progress)
        trees = choice.trees if choice.used else None
    states = None
    # They would stay in memory through the next training.
    if config.train.refit_epochs(trained.best_epoch) < trained.best_epoch:
        states = states_of(trained.network, phase.graph, phase.interactions)
    return LogChoice(
        trained.best_epoch,
        blend,
        half_life_days,
        trained.settings,
        choose_similar(phase, embeddings, added).by,
        trees,
        states,
    )


def bundle_of_log(
    log: CodedLog,
    config: RunConfig,
    choice: LogChoice,
    contents: Sequence[ContentRows],
    progress: Progress,
) -> Bundle:
    """Train on the whole log as chosen; the bundle, not written yet.

    Args:
        log: All rows.
        config: Of the model and its training.
        choice: Epochs, what histories add, and the second stage.
        contents: Texts of items.
        progress: Told of the training.
    """
    phase = Phase("serve", log, None, config, contents=contents)
    trained = fit_phase(
        phase,
        phase.graph,
        config.model,
        epochs=choice.epochs,
        warm=_start(phase, choice),
        progress=progress,
        settings=choice.settings,
    )
    vectors = TrainedVectors(phase.interactions, trained.embeddings, phase.graph)
    embeddings = vectors.embeddings_of(choice.blend.scaling)
    scorer = blended(phase, VectorScorer(embeddings.users, embeddings.items), choice.blend)
    bundle = bundle_of(
        phase,
        phase.graph,
        embeddings,
        scorer,
        tuned_index(phase, scorer),
        _model_card(config, trained),
        half_life_days=choice.half_life_days,
        similar_by=choice.similar_by,
    )
    if choice.trees is None:
        return bundle
    stage = fitted_to(choice.trees, phase, scorer, choice.half_life_days)
    return with_second_stage(bundle, stage)


def _start(phase: Phase, choice: LogChoice) -> WarmStart | None:
    """The states that training goes on from; None for the configured start."""
    if choice.states is None or choice.epochs is None:
        return None
    last = phase.config.train.refit_epochs(choice.epochs)
    return start_from(phase, phase.graph, choice.states, choice.epochs - last)


def _splits(log: CodedLog, config: RunConfig) -> Splits:
    target = target_behavior(log.behaviors, config.graph)
    return split_log(log, config.split, target, config.seed, config.evaluate.task)


def _model_card(config: RunConfig, trained: Trained) -> dict[str, object]:
    return {
        "config": config.model_dump(mode="json", exclude={"data"}),
        "epochs": trained.best_epoch,
        "refit": True,
    }
