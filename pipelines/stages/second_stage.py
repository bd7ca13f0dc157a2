"""The second stage: fitted and judged on validation, taken to the later phases as it was chosen."""

from typing import Any

import numpy as np

from pipelines.phases_on_disk import load_phase
from pipelines.places import MODEL, RANK, TEST
from pipelines.runner import Facts, Work
from pipelines.stages.blend import scorer_of
from pipelines.stages.popularity import popularity_half_life
from pipelines.stages.scores import Scored, first_stage_lists
from recsys.core.arrays import Int32Array
from recsys.core.artefacts import read_json, write_json
from recsys.core.config import RunConfig
from recsys.core.intervals import bootstrap_means
from recsys.core.intervals import difference as paired
from recsys.encode.history_scores import BlendedScorer
from recsys.evaluate.deciding import deciding_per_user
from recsys.evaluate.document import SecondStageFigures
from recsys.fitting.second_stage import (
    SecondStageChoice,
    choose_second_stage,
    fitted_to,
    ranked,
)
from recsys.phases.phase import Phase
from recsys.search.exact import VectorScorer
from recsys.second_stage.candidates import Sources
from recsys.second_stage.rerank import SecondStage
from recsys.second_stage.trees import Trees

_CHOICE = "choice.json"
_TREES = "trees.txt"
_USERS_AT_ONCE = 4096


def is_configured(config: RunConfig) -> bool:
    """Whether a run has the stage."""
    return config.rank.model != "none"


def choose(work: Work) -> Facts:
    """Write what validation chose, and the trees."""
    data = load_phase(work.folder.path, work.config, "select")
    scorer = scorer_of(work, data, MODEL)
    choice = choose_second_stage(data, scorer, popularity_half_life(work), work.progress)
    document = _document(choice)
    write_json(work.out / _CHOICE, document)
    if choice.trees is not None:
        (work.out / _TREES).write_text(choice.trees.text, encoding="utf-8")
    work.progress.say(_told(choice, work.config.train.metric_k), used=choice.used)
    return Facts(figures=document)


def choice_of(work: Work) -> dict[str, Any]:
    """The figures of validation, and whether the second stage is used."""
    document: dict[str, Any] = read_json(work.read(RANK) / _CHOICE)
    return document


def second_stage_of(
    work: Work, data: Phase, scorer: VectorScorer | BlendedScorer
) -> SecondStage | None:
    """The second stage of a phase; None where none is configured, or validation left it out."""
    if not is_configured(work.config) or not choice_of(work)["used"]:
        return None
    return fitted_to(trees_of(work), data, scorer, popularity_half_life(work))


def trees_of(work: Work) -> Trees:
    """That were fitted, used or not, for scores of unit 1."""
    document = choice_of(work)
    text = (work.read(RANK) / _TREES).read_text(encoding="utf-8")
    config = work.config.rank
    sources = Sources(config.popular, config.recent, config.neighbours)
    names = tuple(document["features"])
    return Trees(text, names, 1.0, config.candidates, sources, document["columns"])


def lists_by_both(
    work: Work, data: Phase, scorer: VectorScorer | BlendedScorer, k: int
) -> Int32Array | None:
    """(held-out users, k) lists by both stages; None where there is no second one."""
    stage = second_stage_of(work, data, scorer)
    if stage is None:
        return None
    users = data.judge.held_out_users
    blocks = [np.empty((0, k), np.int32)]
    for start in range(0, len(users), _USERS_AT_ONCE):
        block = users[start : start + _USERS_AT_ONCE]
        blocks.append(ranked(stage, data, scorer, block, k))
    return np.concatenate(blocks)


def second_stage_figures(work: Work, final: Phase) -> SecondStageFigures | None:
    """For the report: validation, and the test's lists with it and without, on the same users."""
    if not is_configured(work.config):
        return None
    choice = choice_of(work)
    figures = {
        "used": choice["used"],
        "validation": choice["value"],
        "validation_without": choice["without"],
        "gain": choice["gain"],
        "error": choice["error"],
        "users": choice["users"],
        "trees": choice["trees"],
    }
    folder = work.read(TEST.format(bucket=MODEL))
    first, both = first_stage_lists(folder), Scored.load(folder).ranked
    if first is None or both is None or not len(both):
        return SecondStageFigures(**figures)
    evaluate = work.config.evaluate
    users, held_out = final.judge.held_out_users, final.judge.held_out_matrix
    k = evaluate.ks[0]
    values = deciding_per_user(both, users, held_out, k)
    without = deciding_per_user(first, users, held_out, k)
    draws = np.stack([values, without], axis=1)
    means = bootstrap_means(draws, evaluate.bootstrap, work.config.seed)
    apart = paired(values, without, means[:, 0], means[:, 1])
    return SecondStageFigures(
        **figures,
        test=float(values.mean()),
        test_without=float(without.mean()),
        difference=apart.mean,
        low=apart.low,
        high=apart.high,
    )


def _document(choice: SecondStageChoice) -> dict[str, Any]:
    """The choice as JSON; an error that cannot be told is null."""
    gain = error = None
    if choice.gain is not None:
        gain = choice.gain.mean
        error = choice.gain.error if np.isfinite(choice.gain.error) else None
    return {
        "used": choice.used,
        "value": choice.value,
        "without": choice.without,
        "gain": gain,
        "error": error,
        "users": choice.users,
        "trees": choice.num_trees,
        "features": [] if choice.trees is None else list(choice.trees.names),
        "columns": {} if choice.trees is None else choice.trees.columns,
    }


def _told(choice: SecondStageChoice, k: int) -> str:
    if choice.gain is None:
        return "second stage: no candidate of validation was held out, so that none is used"
    verdict = "used" if choice.used else "left out, it gains no more than noise"
    return (
        f"second stage: validation NDCG@{k} {choice.value:.4f} with {choice.num_trees} trees, "
        f"{choice.without:.4f} without ({choice.gain.mean:+.4f} ± {choice.gain.error:.4f}, "
        f"{choice.users:,} users who were not fitted on): {verdict}"
    )
