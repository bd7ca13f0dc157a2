"""The second stage fitted and judged: on halves of the validation users, never on the test."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.second_stage import SecondStageTrees, with_items
from recsys.core.arrays import Float64Array, Int32Array
from recsys.core.noise import CHOICE_ERRORS, Difference, difference
from recsys.core.progress import QUIET, Progress
from recsys.evaluate.deciding import deciding_per_user
from recsys.evaluate.metrics import evenly
from recsys.fitting.first_stage import (
    Scorer,
    candidates_of,
    first_stage,
    ranked_users,
    readable,
    spread,
)
from recsys.fitting.tree_fitting import fit_second_stage
from recsys.phases.phase import Phase
from recsys.second_stage.rerank import SecondStage
from recsys.second_stage.trees import Trees, require_lightgbm

_MOST_USERS = 10_000
_SPREAD_USERS = 500


class SecondStageChoice(NamedTuple):
    """What validation said.

    trees: fitted; None where there was nothing to learn from.
    used: whether lists gain by more than noise.
    value, without: NDCG of the judging users with the second stage and without.
    gain: of the one over the other; None without trees.
    users: who judged.
    num_trees: that were fitted.
    """

    trees: Trees | None
    used: bool
    value: float | None = None
    without: float | None = None
    gain: Difference | None = None
    users: int = 0
    num_trees: int = 0


def choose_second_stage(
    phase: Phase, scorer: Scorer, half_life_days: float | None, progress: Progress = QUIET
) -> SecondStageChoice:
    """Trees fitted on every second validation user, and whether the others' lists gain by them.

    Args:
        phase: "select".
        scorer: First stage of that phase.
        half_life_days: By which users without a history are answered.
        progress: Told what is fitted.

    Returns:
        The choice; the same for the same seed.

    Raises:
        MachineError: LightGBM is not installed.
    """
    require_lightgbm()
    users = evenly(phase.judge.held_out_users, _MOST_USERS)
    learners, judges = users[::2], users[1::2]
    columns = readable(phase)
    first = first_stage(phase, scorer, half_life_days, columns)
    fitted = fit_second_stage(phase, scorer, first, columns, learners, progress)
    if fitted is None or not len(judges):
        return SecondStageChoice(None, False)
    values = _values(phase, ranked(fitted.stage, phase, scorer, judges), judges)
    alone = phase.judge.ranked(scorer, phase.config.train.metric_k, judges)
    without = _values(phase, alone, judges)
    gain = difference(values, without)
    return SecondStageChoice(
        fitted.stage.trees,
        gain.beyond(CHOICE_ERRORS),
        float(values.mean()),
        float(without.mean()),
        gain,
        len(judges),
        fitted.num_trees,
    )


def cross_fitted_values(
    phase: Phase, scorer: Scorer, half_life_days: float | None, choice: SecondStageChoice
) -> Float64Array:
    """(held-out users,) the deciding metric of lists by both stages, each by trees that were fitted on
    other users; of the first stage where the choice leaves trees out.

    Args:
        phase: "select".
        scorer: First stage of that phase.
        half_life_days: As in `choose_second_stage`.
        choice: What that chose.
    """
    users = phase.judge.held_out_users
    values = phase.judge.per_user(scorer, users)
    if choice.trees is None or not choice.used:
        return values
    columns = readable(phase)
    first = first_stage(phase, scorer, half_life_days, columns)
    for judged in (slice(0, None, 2), slice(1, None, 2)):
        others = np.setdiff1d(users, users[judged], assume_unique=True)
        learners = evenly(others, _MOST_USERS // 2)
        fitted = fit_second_stage(phase, scorer, first, columns, learners)
        if fitted is not None:
            lists = ranked(fitted.stage, phase, scorer, users[judged])
            values[judged] = _values(phase, lists, users[judged])
    return values


def fitted_to(
    trees: Trees, phase: Phase, scorer: Scorer, half_life_days: float | None
) -> SecondStage:
    """The second stage of another phase: the same trees, in the unit of its scores."""
    first = first_stage(phase, scorer, half_life_days, trees.columns)
    users = evenly(np.arange(phase.interactions.num_users, dtype=np.int32), _SPREAD_USERS)
    hits = candidates_of(phase, scorer, users, trees.candidates)
    return SecondStage(replace(trees, unit=spread(hits.scores)), first)


def with_second_stage(bundle: Bundle, stage: SecondStage) -> Bundle:
    """The bundle of a phase with its second stage; items that the phase has no row of go with none."""
    neighbours = stage.first.neighbours
    if neighbours is not None:
        neighbours = with_items(neighbours, len(bundle.items) - neighbours.shape[0])
    return bundle.with_parts(SecondStageTrees(stage.trees, neighbours))


def ranked(
    stage: SecondStage, phase: Phase, scorer: Scorer, users: Int32Array, k: int | None = None
) -> Int32Array:
    """(users, k) lists by both stages; `train.metric_k` items when k is None."""
    k = phase.config.train.metric_k if k is None else k
    hits = candidates_of(phase, scorer, users, stage.num_candidates(k))
    seen = phase.seen[users]
    return stage.rerank(ranked_users(phase, scorer, users), hits, k, seen).items


def _values(phase: Phase, lists: Int32Array, users: Int32Array) -> Float64Array:
    k = phase.config.train.metric_k
    return deciding_per_user(lists, users, phase.judge.held_out_matrix, k)
