"""One row on one dataset: every choice on validation, refitted on train + validation (or not, where
the row says so), scored once on the test.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.epoch_log import EpochLog
from benchmarks.accuracy.lists import lists_on_test
from benchmarks.accuracy.meter import Meter
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.trainings import Vectors, shared_training
from recsys.baselines.catalogue import baseline, choose
from recsys.core.arrays import Int32Array
from recsys.core.config import RunConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.encoder import Embeddings
from recsys.core.errors import UsageError
from recsys.core.ranking import Scorer
from recsys.evaluate.metrics import Ranking, rank_metrics
from recsys.fitting.fit import fit_phase
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits
from recsys.model.network import Network
from recsys.phases.phase import Phase
from recsys.scores.additions import FittedTerms, blended_scaled, fit_terms
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.choice import choose_blend
from recsys.scores.trained_vectors import TrainedVectors
from recsys.train.loop import Trained
from recsys.train.probe import Settings

METRICS = ("recall@20", "ndcg@20", "recall@10", "ndcg@10", "hr@10")


class Scored(NamedTuple):
    """ranking: of the test. ranked: (test users, k) dense items. facts: what was chosen and what it
    cost.

    network: of a model, trained on what it was tested with; None of a baseline, and where another
    row's training was taken.
    """

    ranking: Ranking
    ranked: Int32Array
    facts: dict[str, Any]
    network: Network | None = None


class Choices(NamedTuple):
    """What validation decides. value: of the vectors, blended: with what histories add. settings:
    what the configuration of the training leaves open.
    """

    epochs: int
    value: float | None
    blend: Blend
    blended: float | None
    settings: dict[str, Any] | None = None


class _Fitted(NamedTuple):
    scorer: Scorer
    facts: dict[str, Any]
    network: Network | None


class Told:
    """Prints what training says, one line each."""

    def say(self, message: str, **fields: object) -> None:
        print(message, file=sys.stderr, flush=True)

    def track(self, things: Iterable, label: str, total: int | None = None) -> Iterator:
        yield from things


def score(
    row: Row,
    config: RunConfig,
    log: CodedLog,
    splits: Splits,
    cache: Path,
    choices: Choices | None = None,
    epoch_log: EpochLog | None = None,
    relations: Sequence[EdgeRows] = (),
) -> Scored:
    """Fit a row and judge it on the test.

    choices: of epochs and blend, made on validation with another seed; made here when absent.
    cache: where trainings are shared. epoch_log: told every epoch of the refit; nothing here reads
    it. relations: rows of graph.relations.
    """
    if epoch_log and not row.refit:
        raise UsageError(
            f"--log-test follows a refit, and {row.name!r} has none",
            "Log a row with refit = true",
        )
    meter = Meter()
    select, final = (Phase(name, log, splits, config, relations) for name in ("select", "final"))
    learned = final if row.refit else select
    if row.baseline:
        fitted = _baseline(row.baseline, select, learned)
    else:
        fitted = _model(select, learned, cache, meter, choices, epoch_log)
    spent = meter.cost()
    ks = config.evaluate.ks
    ranked = lists_on_test(fitted.scorer, learned, final, max(ks))
    ranking = rank_metrics(ranked, final.judge.held_out_users, final.judge.held_out_matrix, ks)
    return Scored(ranking, ranked, spent | fitted.facts, fitted.network)


def figures(ranking: Ranking) -> dict[str, float]:
    """The metrics that results keep."""
    return {name: round(ranking.overall[name], 5) for name in METRICS}


def _model(
    select: Phase,
    learned: Phase,
    cache: Path,
    meter: Meter,
    choices: Choices | None,
    epoch_log: EpochLog | None,
) -> _Fitted:
    """The model, its epochs and its blend with what histories add chosen on validation.

    learned: the phase that it is tested with: `select` itself, or one that it is trained on anew.
    """
    selected: Vectors | None = None
    if choices is None:
        selected = _select_epochs(select, cache, meter)
        choices = _choose_blend(select, selected)
    graph, blend, epochs = learned.graph, choices.blend, choices.epochs
    settings = None if choices.settings is None else Settings(**choices.settings)
    networks: list[Network] = []

    @lru_cache(1)
    def terms() -> FittedTerms | None:
        return None if blend.empty else fit_terms(learned, blend)

    def fit() -> tuple[Trained, dict[str, Any]]:
        if epoch_log:
            trained = epoch_log.refit(learned, epochs, judge, Told(), settings)
            if blend.empty:
                vectors = TrainedVectors(learned.interactions, trained.embeddings, graph)
                epoch_log.shapes(learned, epochs, vectors)
        else:
            trained = fit_phase(
                learned,
                graph,
                learned.config.model,
                epochs=epochs,
                progress=Told(),
                settings=settings,
            )
        networks.append(trained.network)
        return trained, {"mode": trained.plan.mode, "shared": shared_numbers(trained.network)}

    def judge(found: Embeddings) -> Scorer:
        vectors = TrainedVectors(learned.interactions, found, graph)
        return blended_scaled(learned, vectors, blend, terms=terms())

    facts = _choice(select.config, choices.value) | {"epochs": epochs}
    if choices.settings is not None:
        facts |= {"settings": choices.settings}
    if selected is not None and learned is select:
        vectors = selected
    else:
        fresh = epoch_log is not None
        vectors = shared_training(cache, learned, epochs, fit, meter, choices.settings, fresh)
        facts |= vectors.facts
    if blend != NO_BLEND:
        facts |= {"blend": blend.document(), "validation_blended": choices.blended}
    return _Fitted(judge(vectors.embeddings), facts, networks[0] if networks else None)


def _select_epochs(select: Phase, cache: Path, meter: Meter) -> Vectors:
    """The vectors of the epoch that validation prefers; its facts are `epochs` and `value`.

    meter: told of a training that another row left in `cache`.
    """

    def fit() -> tuple[Trained, dict[str, Any]]:
        trained = fit_phase(select, select.graph, select.config.model, progress=Told())
        return trained, {
            "epochs": trained.best_epoch,
            "value": trained.best_value,
            "settings": trained.settings.document(),
        }

    return shared_training(cache, select, None, fit, meter)


def _choose_blend(select: Phase, selected: Vectors) -> Choices:
    """What validation adds to the vectors of its epoch."""
    vectors = TrainedVectors(select.interactions, selected.embeddings, select.graph)
    choice = choose_blend(select, vectors)
    facts = selected.facts
    settings = facts.get("settings")
    return Choices(facts["epochs"], facts["value"], choice.blend, choice.value, settings)


def _baseline(name: str, select: Phase, learned: Phase) -> _Fitted:
    one, seed = baseline(name), select.config.seed
    found = choose(one, select.interactions, select.target, select.judge.ndcg, seed)
    scorer = one.fit(learned.interactions, learned.target, found.params, seed)
    return _Fitted(scorer, _choice(select.config, found.value) | {"chosen": found.params}, None)


def _choice(config: RunConfig, value: float | None) -> dict[str, Any]:
    """The validation value that decided, None where nothing was to choose."""
    return {
        "validation": value and round(value, 5),
        "validation_metric": f"ndcg@{config.train.metric_k}",
    }


def shared_numbers(network: Network) -> dict[str, Any]:
    """The learnt numbers that all nodes share, by parameter name."""
    own = {
        name: value
        for name, value in network.named_parameters()
        if not name.startswith(("tables.", "visitor"))
    }
    small = {
        name: value.detach().cpu().numpy() for name, value in own.items() if value.numel() <= 64
    }
    return {name: np.round(value.astype(float), 3).tolist() for name, value in small.items()}
