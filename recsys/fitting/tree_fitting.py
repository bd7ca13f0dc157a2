"""Trees fitted on candidates of users of whom something is held out, by LightGBM."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from recsys.core.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from recsys.core.progress import QUIET, Progress
from recsys.core.ranking import NO_ITEM
from recsys.fitting.first_stage import Scorer, candidates_of, ranked_users, spread
from recsys.phases.phase import Phase
from recsys.second_stage.candidates import Sources, with_others
from recsys.second_stage.features import Pairs, features_of, names_for, reads_column
from recsys.second_stage.inputs import FirstStage
from recsys.second_stage.rerank import SecondStage
from recsys.second_stage.trees import Columns, Trees

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


class FittedStage(NamedTuple):
    stage: SecondStage
    num_trees: int


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


def fit_second_stage(
    phase: Phase,
    scorer: Scorer,
    first: FirstStage,
    columns: Columns,
    learners: Int32Array,
    progress: Progress = QUIET,
) -> FittedStage | None:
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
    columns_read = _columns_read(columns, examples.names)
    text, num_trees = _model_file(phase, examples, columns_read)
    config = phase.config.rank
    trees = Trees(
        text,
        examples.names,
        examples.unit,
        config.candidates,
        _sources(phase),
        columns_read,
    )
    return FittedStage(SecondStage(trees, first), num_trees)


def _examples(
    phase: Phase, scorer: Scorer, first: FirstStage, users: Int32Array
) -> _Examples | None:
    """None where no candidate was held out."""
    hits = candidates_of(phase, scorer, users, phase.config.rank.candidates)
    unit = spread(hits.scores)
    known = ranked_users(phase, scorer, users)
    items = with_others(first, known, hits.items, _sources(phase), phase.seen[users])
    held_out = phase.judge.held_out_matrix[users]
    row, column = np.nonzero(items != NO_ITEM)
    item = items[row, column]
    labels = np.asarray(held_out[row, item]).ravel() > 0
    has_hit = np.zeros(len(users), bool)
    has_hit[row[labels]] = True
    is_example = has_hit[row]
    if not is_example.any():
        return None
    row, item = row[is_example], item[is_example]
    pairs = Pairs(first, known, row, item, unit)
    names = names_for(first)
    features = features_of(pairs, names)
    is_known = ~np.asarray(np.isnan(features).all(axis=0))
    names = tuple(names[feature] for feature in np.flatnonzero(is_known))
    sizes = np.bincount(row, minlength=len(users))[has_hit].astype(np.int32)
    is_held_out = labels[is_example].astype(np.int32)
    return _Examples(features[:, is_known], names, is_held_out, pairs.scores / unit, sizes, unit)


def _sources(phase: Phase) -> Sources:
    config = phase.config.rank
    return Sources(config.popular, config.recent, config.neighbours)


def _columns_read(columns: Columns, names: Sequence[str]) -> Columns:
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
    categories = _categorical_features(examples.names, columns)
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


def _categorical_features(names: Sequence[str], columns: Columns) -> list[int]:
    """Places of the features whose numbers are those of categories."""
    features = []
    for feature, name in enumerate(names):
        owner, _, column = name.partition(".")
        if columns.get(owner, {}).get(column):
            features.append(feature)
    return features


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
