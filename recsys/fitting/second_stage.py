"""The second stage fitted and judged: on halves of the validation users, never on the test."""

from typing import Any, NamedTuple

import numpy as np

from recsys.core.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from recsys.core.noise import CHOICE_ERRORS, Difference, difference
from recsys.core.progress import QUIET, Progress
from recsys.core.ranking import NO_ITEM, Hits
from recsys.encode.history_scores import BlendedScorer
from recsys.evaluate.deciding import deciding_per_user
from recsys.evaluate.metrics import evenly
from recsys.phases.phase import Phase
from recsys.scores.most_popular import item_popularity
from recsys.search.exact import VectorScorer, rank
from recsys.second_stage.features import NAMES, FirstStage, RankedUsers, features_of
from recsys.second_stage.rerank import SecondStage, with_popular
from recsys.second_stage.trees import Trees, require_lightgbm

Scorer = VectorScorer | BlendedScorer

_MOST_USERS = 10_000
_SPREAD_USERS = 500
_STOPPERS = 5  # every fifth user of the half that is fitted on says when to stop
_PATIENCE = 30  # trees
_PARAMETERS = {
    "objective": "lambdarank",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
    "feature_pre_filter": False,
}


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
    first = first_stage(phase, scorer, half_life_days)
    examples = _examples(phase, scorer, first, learners)
    if examples is None or not len(judges):
        return SecondStageChoice(None, False)
    progress.say(
        f"second stage: fitting on {len(examples.sizes):,} users, {len(examples.labels):,} candidates"
    )
    text, num_trees = _fitted(phase, examples)
    config = phase.config.rank
    trees = Trees(text, NAMES, examples.unit, config.candidates, config.popular)
    with_trees = ranked(SecondStage(trees, first), phase, scorer, judges)
    alone = phase.judge.ranked(scorer, phase.config.train.metric_k, judges)
    values = _values(phase, with_trees, judges)
    without = _values(phase, alone, judges)
    gain = difference(values, without)
    return SecondStageChoice(
        trees,
        gain.beyond(CHOICE_ERRORS),
        float(values.mean()),
        float(without.mean()),
        gain,
        len(judges),
        num_trees,
    )


def fitted_to(
    trees: Trees, phase: Phase, scorer: Scorer, half_life_days: float | None
) -> SecondStage:
    """The second stage of another phase: the same trees, in the unit of its scores."""
    first = first_stage(phase, scorer, half_life_days)
    users = evenly(np.arange(phase.interactions.num_users, dtype=np.int32), _SPREAD_USERS)
    hits = _candidates(phase, scorer, users, trees.candidates)
    unit = _spread(hits.scores)
    in_unit = Trees(trees.text, trees.names, unit, trees.candidates, trees.popular)
    return SecondStage(in_unit, first)


def first_stage(phase: Phase, scorer: Scorer, half_life_days: float | None) -> FirstStage:
    """What a bundle of the phase will have."""
    vectors = scorer.vectors if isinstance(scorer, BlendedScorer) else scorer
    return FirstStage(
        vectors.item_vectors,
        scorer.added if isinstance(scorer, BlendedScorer) else None,
        phase.interactions.popularity(phase.target).astype(np.float32),
        item_popularity(phase.histories, phase.target, half_life_days).shares,
    )


def ranked_users(phase: Phase, scorer: Scorer, users: Int32Array) -> RankedUsers:
    """Known users as the second stage reads them."""
    had = phase.interactions.matrix((phase.target,))[users]
    if isinstance(scorer, BlendedScorer):
        return RankedUsers(scorer.vectors.user_vectors[users], scorer.histories.of(users), had)
    return RankedUsers(scorer.user_vectors[users], None, had)


def ranked(
    stage: SecondStage, phase: Phase, scorer: Scorer, users: Int32Array, k: int | None = None
) -> Int32Array:
    """(users, k) lists by both stages; `train.metric_k` items when k is None."""
    k = phase.config.train.metric_k if k is None else k
    hits = _candidates(phase, scorer, users, stage.num_candidates(k))
    seen = phase.seen[users]
    return stage.rerank(ranked_users(phase, scorer, users), hits, k, seen).items


class _Examples(NamedTuple):
    """What is learnt from: candidates of users who had one of them.

    features: (pairs, features). labels: (pairs,) 1 where held out. scores: (pairs,) of the first
    stage, in units. sizes: candidates of each user. unit: of the scores.
    """

    features: Float32Array
    labels: Int32Array
    scores: Float64Array
    sizes: Int32Array
    unit: float


def _examples(
    phase: Phase, scorer: Scorer, first: FirstStage, users: Int32Array
) -> _Examples | None:
    """None where no candidate was held out."""
    config = phase.config.rank
    hits = _candidates(phase, scorer, users, config.candidates)
    unit = _spread(hits.scores)
    seen = phase.seen[users]
    items = with_popular(hits.items, first.most_popular, config.popular, seen)
    held_out = phase.judge.held_out_matrix[users]
    row, place = np.nonzero(items != NO_ITEM)
    item = items[row, place]
    labels = np.asarray(held_out[row, item]).ravel() > 0
    has_hit = np.zeros(len(users), bool)
    has_hit[row[labels]] = True
    kept = has_hit[row]
    if not kept.any():
        return None
    row, item = row[kept], item[kept]
    features, scores = features_of(first, ranked_users(phase, scorer, users), row, item, unit)
    sizes = np.bincount(row, minlength=len(users))[has_hit].astype(np.int32)
    return _Examples(features, labels[kept].astype(np.int32), scores / unit, sizes, unit)


def _fitted(phase: Phase, examples: _Examples) -> tuple[str, int]:
    """The model file, and how many trees it has."""
    import lightgbm

    stops = np.arange(len(examples.sizes)) % _STOPPERS == _STOPPERS - 1
    if not stops.any():
        stops[-1] = True
    stopping = np.repeat(stops, examples.sizes)
    learning = _dataset(examples, ~stopping, ~stops)
    booster = lightgbm.train(
        {**_PARAMETERS, "seed": phase.config.seed, "eval_at": [phase.config.train.metric_k]},
        learning,
        num_boost_round=phase.config.rank.trees,
        valid_sets=[_dataset(examples, stopping, stops, learning)],
        callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
    )
    num_trees = booster.best_iteration or booster.current_iteration()
    return booster.model_to_string(num_iteration=num_trees), num_trees


def _dataset(examples: _Examples, pairs: BoolArray, users: BoolArray, reference: Any = None) -> Any:
    """Some of the examples, whose trees go on from the scores of the first stage."""
    import lightgbm

    return lightgbm.Dataset(
        examples.features[pairs],
        examples.labels[pairs],
        group=examples.sizes[users],
        init_score=examples.scores[pairs],
        feature_name=list(NAMES),
        reference=reference,
    )


def _candidates(phase: Phase, scorer: Scorer, users: Int32Array, count: int) -> Hits:
    """(users, count) of the first stage."""
    return rank(scorer, users, count, phase.seen, threads=phase.config.threads)


def _spread(scores: Float32Array) -> float:
    """Mean standard deviation of the candidates' scores within a user; 1 where they are all alike."""
    finite = np.ma.masked_invalid(scores.astype(np.float64))
    deviations = finite.std(axis=1)
    return float(deviations.mean() or 1.0)


def _values(phase: Phase, lists: Int32Array, users: Int32Array) -> Float64Array:
    k = phase.config.train.metric_k
    return deciding_per_user(lists, users, phase.judge.held_out_matrix, k)
