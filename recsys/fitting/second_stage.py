"""The second stage fitted and judged: on halves of the validation users, never on the test."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from recsys.bundle.attributes import ItemAttributes
from recsys.bundle.bundle import USER_NODES, Bundle
from recsys.bundle.item_columns import item_columns, readable_columns
from recsys.bundle.neighbours import neighbours_into_users
from recsys.bundle.parts.items import Items
from recsys.bundle.parts.second_stage import SecondStageTrees, with_items
from recsys.closed_form.cooccurrence import cooccurrence
from recsys.core.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from recsys.core.noise import CHOICE_ERRORS, Difference, difference
from recsys.core.progress import QUIET, Progress
from recsys.core.ranking import NO_ITEM, Hits
from recsys.core.tables import ITEM, USER
from recsys.encode.history_scores import BlendedScorer
from recsys.evaluate.deciding import deciding_per_user
from recsys.evaluate.metrics import evenly
from recsys.fitting.cold_items import separators_of
from recsys.phases.phase import Phase
from recsys.scores.most_popular import item_popularity
from recsys.search.exact import VectorScorer, rank
from recsys.second_stage.candidates import Sources, with_others
from recsys.second_stage.columns import codes_of, common_values
from recsys.second_stage.features import Pairs, features_of, names_for, reads_column
from recsys.second_stage.inputs import FirstStage, RankedUsers, last_moments, latest_items
from recsys.second_stage.rerank import SecondStage
from recsys.second_stage.trees import Columns, Trees, require_lightgbm

Scorer = VectorScorer | BlendedScorer

_MOST_USERS = 10_000
_SPREAD_USERS = 500
_NEIGHBOURS = 20  # of each item, by common users
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
    columns = readable(phase)
    first = first_stage(phase, scorer, half_life_days, columns)
    fitted = _fitted(phase, scorer, first, columns, learners, progress)
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
        others = np.setdiff1d(users, users[judged])
        learners = evenly(others, _MOST_USERS // 2)
        fitted = _fitted(phase, scorer, first, columns, learners)
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
    hits = _candidates(phase, scorer, users, trees.candidates)
    return SecondStage(replace(trees, unit=_spread(hits.scores)), first)


def with_second_stage(bundle: Bundle, stage: SecondStage) -> Bundle:
    """The bundle of a phase with its second stage; items that the phase has no row of go with none."""
    neighbours = stage.first.neighbours
    if neighbours is not None:
        neighbours = with_items(neighbours, len(bundle.items) - neighbours.shape[0])
    return bundle.with_parts(SecondStageTrees(stage.trees, neighbours))


def first_stage(
    phase: Phase, scorer: Scorer, half_life_days: float | None, columns: Columns
) -> FirstStage:
    """What a bundle of the phase will have.

    Args:
        phase: Any.
        scorer: Of that phase.
        half_life_days: As in `choose_second_stage`.
        columns: That are read, as `readable` gives them.
    """
    vectors = scorer.vectors if isinstance(scorer, BlendedScorer) else scorer
    neighbours = None
    if phase.config.rank.neighbours:
        pairs = phase.interactions.matrix((phase.target,))
        neighbours = cooccurrence(pairs, top_n=_NEIGHBOURS)
    user_codes = {}
    if columns.get(USER):
        for column, categories in columns[USER].items():
            labels: Sequence[str] = phase.graph.labels.get(USER_NODES + column, [])
            user_codes[column] = codes_of(labels, categories)
    return FirstStage(
        vectors.item_vectors,
        scorer.added if isinstance(scorer, BlendedScorer) else None,
        phase.interactions.popularity(phase.target).astype(np.float32),
        item_popularity(phase.histories, phase.target, half_life_days).shares,
        neighbours,
        item_columns(_attributes(phase), columns.get(ITEM, {})),
        user_codes,
    )


def readable(phase: Phase) -> Columns:
    """Columns of items and users that trees may read."""
    users = {}
    for column, values in _user_attributes(phase).items():
        users[column] = common_values(values, phase.graph.labels[USER_NODES + column])
    return {ITEM: readable_columns(_attributes(phase)), USER: users}


def _attributes(phase: Phase) -> ItemAttributes:
    """Of the phase's items, as a bundle will have them."""
    return Items.of(phase.interactions.items, phase.item_table, separators_of(phase)).attributes


def ranked_users(phase: Phase, scorer: Scorer, users: Int32Array) -> RankedUsers:
    """Known users as the second stage reads them, who ask at the moment of what is held out."""
    past = None
    if isinstance(scorer, BlendedScorer):
        past = scorer.histories.of(users)
    vectors = scorer.vectors if isinstance(scorer, BlendedScorer) else scorer
    histories = phase.histories.of_users(users)
    moments = phase.judge.moments[users]
    attributes = {}
    for column, matrix in _user_attributes(phase).items():
        attributes[column] = matrix[users]
    return RankedUsers(
        vectors.user_vectors[users],
        past,
        phase.interactions.matrix((phase.target,))[users],
        latest_items(histories, phase.target),
        moments,
        last_moments(histories, moments),
        attributes,
    )


def _user_attributes(phase: Phase) -> dict[str, sparse.csr_matrix]:
    """By column of the user table that the graph has, (users, values) an entry for each value."""
    if not any(attribute.side == USER for attribute in phase.config.graph.attributes):
        return {}
    columns = {}
    for (source, name, destination), edges in phase.graph.relations.items():
        if destination == USER and source.startswith(USER_NODES):
            into_users = neighbours_into_users({(source, name, destination): edges})
            columns[source.removeprefix(USER_NODES)] = into_users[name]
    return columns


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

    features: (pairs, features). names: of the features. labels: (pairs,) 1 where held out. scores:
    (pairs,) of the first stage, in units. sizes: candidates of each user. unit: of the scores.
    """

    features: Float32Array
    names: tuple[str, ...]
    labels: Int32Array
    scores: Float64Array
    sizes: Int32Array
    unit: float


class _Fitted(NamedTuple):
    stage: SecondStage
    num_trees: int


def _fitted(
    phase: Phase,
    scorer: Scorer,
    first: FirstStage,
    columns: Columns,
    learners: Int32Array,
    progress: Progress = QUIET,
) -> _Fitted | None:
    """The second stage that some users teach; None where none of their candidates was held out.

    Args:
        phase: "select".
        scorer: First stage of that phase.
        first: The same.
        columns: That it has.
        learners: Internal ids.
        progress: Told what is fitted.
    """
    examples = _examples(phase, scorer, first, learners)
    if examples is None:
        return None
    progress.say(
        f"second stage: fitting on {len(examples.sizes):,} users, "
        f"{len(examples.labels):,} candidates, {len(examples.names)} features"
    )
    read = _read(columns, examples.names)
    text, num_trees = _model_file(phase, examples, read)
    config = phase.config.rank
    trees = Trees(text, examples.names, examples.unit, config.candidates, _sources(phase), read)
    return _Fitted(SecondStage(trees, first), num_trees)


def _examples(
    phase: Phase, scorer: Scorer, first: FirstStage, users: Int32Array
) -> _Examples | None:
    """None where no candidate was held out."""
    hits = _candidates(phase, scorer, users, phase.config.rank.candidates)
    unit = _spread(hits.scores)
    known = ranked_users(phase, scorer, users)
    items = with_others(first, known, hits.items, _sources(phase), phase.seen[users])
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
    pairs = Pairs(first, known, row, item, unit)
    names = names_for(first)
    features = features_of(pairs, names)
    is_known = ~np.asarray(np.isnan(features).all(axis=0))
    names = tuple(names[place] for place in np.flatnonzero(is_known))
    sizes = np.bincount(row, minlength=len(users))[has_hit].astype(np.int32)
    is_held_out = labels[kept].astype(np.int32)
    return _Examples(features[:, is_known], names, is_held_out, pairs.scores / unit, sizes, unit)


def _sources(phase: Phase) -> Sources:
    config = phase.config.rank
    return Sources(config.popular, config.recent, config.neighbours)


def _read(columns: Columns, names: Sequence[str]) -> Columns:
    """Those of the columns that features read."""
    read: dict[str, dict[str, Sequence[str]]] = {}
    for owner, of_owner in columns.items():
        for column, categories in of_owner.items():
            if any(reads_column(name, owner, column) for name in names):
                read.setdefault(owner, {})[column] = list(categories)
    return read


def _model_file(phase: Phase, examples: _Examples, columns: Columns) -> tuple[str, int]:
    """The model file, and how many trees it has."""
    import lightgbm

    stops = np.arange(len(examples.sizes)) % _STOPPERS == _STOPPERS - 1
    if not stops.any():
        stops[-1] = True
    stopping = np.repeat(stops, examples.sizes)
    categories = _places_of_categories(examples.names, columns)
    learning = _dataset(examples, ~stopping, ~stops, categories)
    booster = lightgbm.train(
        {**_PARAMETERS, "seed": phase.config.seed, "eval_at": [phase.config.train.metric_k]},
        learning,
        num_boost_round=phase.config.rank.trees,
        valid_sets=[_dataset(examples, stopping, stops, categories, learning)],
        callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
    )
    num_trees = booster.best_iteration or booster.current_iteration()
    return booster.model_to_string(num_iteration=num_trees), num_trees


def _places_of_categories(names: Sequence[str], columns: Columns) -> list[int]:
    """Places of the features whose numbers are those of categories."""
    places = []
    for place, name in enumerate(names):
        owner, _, column = name.partition(".")
        if columns.get(owner, {}).get(column):
            places.append(place)
    return places


def _dataset(
    examples: _Examples,
    pairs: BoolArray,
    users: BoolArray,
    categories: list[int],
    reference: Any = None,
) -> Any:
    """Some of the examples, whose trees go on from the scores of the first stage."""
    import lightgbm

    # Columns have names of any kind, which LightGBM would not take: it numbers them.
    return lightgbm.Dataset(
        examples.features[pairs],
        examples.labels[pairs],
        group=examples.sizes[users],
        init_score=examples.scores[pairs],
        categorical_feature=categories,
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
