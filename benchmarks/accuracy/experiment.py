"""One row on one dataset: every choice on validation, refitted on train + validation, scored once
on the test.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.epoch_log import EpochLog
from benchmarks.accuracy.meter import Meter
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.trainings import shared_training
from recsys.baselines.catalogue import baseline, choose
from recsys.core.arrays import Int32Array
from recsys.core.config import RunConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.encoder import Embeddings
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

METRICS = ("recall@20", "ndcg@20", "recall@10", "ndcg@10", "hr@10")


class Scored(NamedTuple):
    """ranking: of the test. ranked: (test users, k) dense items. facts: what was chosen and what it
    cost.

    network: of a model, trained on train + validation; None of a baseline, and where another row's
    training was taken.
    """

    ranking: Ranking
    ranked: Int32Array
    facts: dict[str, Any]
    network: Network | None = None


class Choices(NamedTuple):
    """What validation decides. value: of the vectors, blended: with what histories add."""

    epochs: int
    value: float | None
    blend: Blend
    blended: float | None


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
    meter = Meter()
    select, final = (Phase(name, log, splits, config, relations) for name in ("select", "final"))
    fitted = (
        _baseline(row.baseline, select, final)
        if row.baseline
        else _model(select, final, cache, meter, choices, epoch_log)
    )
    spent = meter.cost()
    ranked = final.judge.ranked(fitted.scorer, max(config.evaluate.ks))
    ranking = rank_metrics(
        ranked, final.judge.held_out_users, final.judge.held_out_matrix, config.evaluate.ks
    )
    return Scored(ranking, ranked, spent | fitted.facts, fitted.network)


def figures(ranking: Ranking) -> dict[str, float]:
    """The metrics that results keep."""
    return {name: round(ranking.overall[name], 5) for name in METRICS}


def _model(
    select: Phase,
    final: Phase,
    cache: Path,
    meter: Meter,
    choices: Choices | None,
    epoch_log: EpochLog | None,
) -> _Fitted:
    """The model, its epochs and its blend with what histories add chosen on validation, refitted."""
    choices, graph = choices or choose_all(select, cache, meter), final.graph
    networks: list[Network] = []

    @lru_cache(1)
    def terms() -> FittedTerms | None:
        return None if choices.blend.empty else fit_terms(final, choices.blend)

    def refit() -> tuple[Trained, dict[str, Any]]:
        if epoch_log:
            trained = epoch_log.refit(final, choices.epochs, judge, Told())
            if choices.blend.empty:
                epoch_log.shapes(
                    final,
                    choices.epochs,
                    TrainedVectors(final.interactions, trained.embeddings, graph),
                )
        else:
            trained = fit_phase(
                final, graph, final.config.model, epochs=choices.epochs, progress=Told()
            )
        networks.append(trained.network)
        return trained, {"mode": trained.plan.mode, "shared": shared_numbers(trained.network)}

    def judge(found: Embeddings) -> Scorer:
        return blended_scaled(
            final, TrainedVectors(final.interactions, found, graph), choices.blend, terms=terms()
        )

    found = shared_training(cache, final, choices.epochs, refit, meter, fresh=epoch_log is not None)
    facts = _choice(select.config, choices.value) | {"epochs": choices.epochs, **found.facts}
    if choices.blend != NO_BLEND:
        facts |= {"blend": choices.blend.document(), "validation_blended": choices.blended}
    return _Fitted(judge(found.embeddings), facts, networks[0] if networks else None)


def choose_all(select: Phase, cache: Path, meter: Meter) -> Choices:
    """Epochs, then the blend, by validation. meter: told of a training that another row left in
    `cache`.
    """
    graph = select.graph

    def fit() -> tuple[Trained, dict[str, Any]]:
        trained = fit_phase(select, graph, select.config.model, progress=Told())
        return trained, {"epochs": trained.best_epoch, "value": trained.best_value}

    found = shared_training(cache, select, None, fit, meter)
    vectors = TrainedVectors(select.interactions, found.embeddings, graph)
    choice = choose_blend(select, vectors)
    return Choices(found.facts["epochs"], found.facts["value"], choice.blend, choice.value)


def _baseline(name: str, select: Phase, final: Phase) -> _Fitted:
    one, seed = baseline(name), select.config.seed
    found = choose(one, select.interactions, select.target, select.judge.ndcg, seed)
    scorer = one.fit(final.interactions, final.target, found.params, seed)
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
