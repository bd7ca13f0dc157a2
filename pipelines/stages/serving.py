"""What a run serves: the tuned index, the bundle, and the link that is switched to it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.phases_on_disk import load_phase
from pipelines.places import GRAPH, INDEX, MODEL, REPORT, TEST, TRAINED
from pipelines.runner import Facts, Work
from pipelines.stages.blend import embeddings_of, scorer_of
from pipelines.stages.popularity import popularity_half_life
from pipelines.stages.scores import Scored, first_stage_lists
from pipelines.stages.second_stage import second_stage_of
from pipelines.stages.similar import chosen_similar
from pipelines.stages.training import CARD
from recsys.bundle.parts.run_report import RunReport
from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.artefacts import read_json, text_sha256, write_json
from recsys.core.tables import ITEM_ID, USER_ID
from recsys.encode.history_scores import BlendedScorer, searched
from recsys.evaluate.document import Report
from recsys.evaluate.metrics import evenly, rank_metrics
from recsys.fitting.fit import bundle_of, tuned_index
from recsys.fitting.second_stage import with_second_stage
from recsys.graph.store import load_graph
from recsys.phases.phase import Phase, PhaseName
from recsys.releases.publish import write_bundle
from recsys.search.exact import ExactIndex, VectorScorer
from recsys.search.planner import Planner
from recsys.search.popularity_boost import boosted_queries, with_popularity
from recsys.search.searcher import Searcher
from recsys.search.searchers import load_searcher
from recsys.search.tuning import TunedIndex

THROUGH = "through_index.json"
_CARD = "index_card.json"
_METRICS = ("recall", "ndcg")
# Whose lists go through the index: enough to tell a difference of a thousandth.
_THROUGH_USERS = 10_000


def index(phase: PhaseName) -> Callable[[Work], Facts]:
    """A stage function that finds how to search the item vectors of `phase`.

    In "final" the test metrics are also measured through the index.
    """

    def index_phase(work: Work) -> Facts:
        config = work.config
        data = load_phase(work.folder.path, config, phase)
        scorer = scorer_of(work, data, MODEL)
        tuned = tuned_index(data, scorer, work.progress)
        write_json(work.out / _CARD, tuned.card)
        if tuned.index is not None:
            tuned.index.save(work.out)
        figures: dict[str, Any] = {"card": tuned.card}
        if phase == "final":
            tested = work.read(TEST.format(bucket=MODEL))
            exact = first_stage_lists(tested)
            if exact is None:
                exact = Scored.load(tested).ranked
            if exact is None:
                exact = np.empty((0, max(config.evaluate.ks)), np.int32)
            figures["through"] = _through(data, scorer, tuned, exact)
            write_json(work.out / THROUGH, figures["through"])
            _tell(work, figures["through"])
        return Facts(rows_in=data.interactions.num_items, figures=figures)

    return index_phase


def bundle(phase: PhaseName) -> Callable[[Work], Facts]:
    """A stage function that writes the bundle of `phase`; the run says whether it goes live."""

    def bundle_phase(work: Work) -> Facts:
        folder = work.folder
        data = load_phase(folder.path, work.config, phase)
        embeddings = embeddings_of(work, phase, MODEL)
        scorer = scorer_of(work, data, MODEL)
        item_vectors, _ = _with_popularity(data, scorer)
        tuned = _load_tuned(work.read(INDEX.format(phase=phase)), item_vectors)
        report = Report.load(work.read(REPORT) / "report.json")
        graph = load_graph(work.read(GRAPH.format(phase=phase)))
        training = read_json(work.read(TRAINED.format(phase=phase, bucket=MODEL)) / CARD)
        tested = load_phase(folder.path, work.config, "final")
        scored = Scored.load(work.read(TEST.format(bucket=MODEL)))
        values = _test_values(tested, scored)
        card = _model_card(work, data, report, training)
        card["test_rows"] = _held_out_sha256(tested)
        card["similar_items"] = similar_items = chosen_similar(work)
        fitted = bundle_of(
            data,
            graph,
            embeddings,
            scorer,
            tuned,
            card,
            values,
            popularity_half_life(work),
            similar_items["by"],
        )
        if fitted.cold_items:
            work.progress.say(
                f"{fitted.cold_items:,} items that nobody took, placed by what they are"
            )
        fitted = fitted.with_parts(RunReport.read(work.read(REPORT)))
        stage = second_stage_of(work, data, scorer)
        if stage is not None:
            fitted = with_second_stage(fitted, stage)
        path = write_bundle(folder.bundles, fitted)
        return Facts(figures={"bundle": path.name}, output=str(path.relative_to(folder.path)))

    return bundle_phase


def _through(
    data: Phase, scorer: VectorScorer | BlendedScorer, tuned: TunedIndex, exact: Int32Array
) -> dict[str, Any]:
    """The test metrics by exact scores, and by what the index finds, of a part of the users.

    exact: (held-out users, k) the lists by exact scores, which search without an index finds too.
    """
    rows = evenly(np.arange(len(exact), dtype=np.int32), _THROUGH_USERS)
    users = data.judge.held_out_users[rows]
    ranked = {"exact": exact[rows], "through": exact[rows]}
    if tuned.index is not None:
        ranked["through"] = _lists_of_index(data, scorer, tuned.index, users)
    figures: dict[str, Any] = {"kind": tuned.card["kind"]}
    for name, lists in ranked.items():
        metrics = rank_metrics(lists, users, data.judge.held_out_matrix, data.config.evaluate.ks)
        shown = {}
        for metric, value in metrics.overall.items():
            if metric.startswith(_METRICS):
                shown[metric] = value
        figures[name] = shown
    return figures


def _lists_of_index(
    data: Phase, scorer: VectorScorer | BlendedScorer, index: Searcher, users: Int32Array
) -> Int32Array:
    """(users, k) as a bundle with this index lists."""
    seen = data.seen[users]
    item_vectors, unit = _with_popularity(data, scorer)
    queries = boosted_queries(searched(scorer).user_vectors[users], 0.0, unit)
    planner = Planner(ExactIndex(item_vectors), index)
    added = scorer.sparse_scores(users) if isinstance(scorer, BlendedScorer) else None
    return planner.search(queries, max(data.config.evaluate.ks), seen, added=added).items


def _with_popularity(
    data: Phase, scorer: VectorScorer | BlendedScorer
) -> tuple[Float32Array, float]:
    """The item vectors as they are searched, and the unit of the popularity boost."""
    popularity = data.interactions.popularity(data.target)
    return with_popularity(searched(scorer).item_vectors, popularity)


def _tell(work: Work, through: Mapping[str, Any]) -> None:
    differences = {}
    for name, value in through["exact"].items():
        differences[name] = through["through"][name] - value
    words = ", ".join(f"{name} {value:+.4f}" for name, value in differences.items())
    work.progress.say(
        f"through the {through['kind']} index rather than exact scores: {words}", **differences
    )


def _load_tuned(folder: Path, item_vectors: Float32Array) -> TunedIndex:
    card = read_json(folder / _CARD)
    searcher = load_searcher(folder, np.asarray(item_vectors), card)
    return TunedIndex(searcher, card)


def _test_values(tested: Phase, scored: Scored) -> pl.DataFrame | None:
    """Every metric of every test user; None when nobody was tested."""
    users = tested.judge.held_out_users
    if scored.ranked is None or not len(users):
        return None
    ks = tested.config.evaluate.ks
    metrics = rank_metrics(scored.ranked, users, tested.judge.held_out_matrix, ks)
    user_ids = tested.interactions.users.external(users)
    return pl.DataFrame({USER_ID: user_ids, **metrics.per_user})


def _held_out_sha256(tested: Phase) -> str:
    """Two models with the same were tested on the same rows."""
    rows = tested.judge.held_out
    user_ids = tested.interactions.users.external(rows.user)
    item_ids = tested.interactions.items.external(rows.item)
    pairs = pl.DataFrame({USER_ID: user_ids, ITEM_ID: item_ids})
    return text_sha256(pairs.sort(USER_ID, ITEM_ID).write_csv())


def _model_card(
    work: Work, data: Phase, report: Report, training: Mapping[str, Any]
) -> dict[str, Any]:
    """What this model is, what it learnt from, and how its tested sibling did."""
    config = work.config
    learned_from = "train and validation rows; the tested model itself"
    if config.refit:
        learned_from = "the whole log"
    test = {}
    for name, value in report.row(report.main).metrics.items():
        test[name] = value.value
    sections = {"clean", "split", "graph", "model", "train", "blend"}
    return {
        "name": config.name,
        "refit": config.refit,
        "learnt_from": learned_from,
        "interactions": len(data.interactions),
        "users": data.interactions.num_users,
        "items": data.interactions.num_items,
        "target": data.target,
        "epochs": training["epochs"],
        "seed": config.seed,
        "config": config.model_dump(mode="json", include=sections),
        "split": report.facts.split,
        "time_safe": report.facts.time_safe,
        "test": test,
        "test_users": report.facts.warm_users,
        "deciding": report.deciding,
        "verdict": report.verdict.line,
        "never_worse": report.verdict.never_worse,
        "left_out": [row.part for row in report.left_out],
    }
