"""The first stage of a phase, as the second one reads it: scores, neighbours, columns, who asks."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from recsys.bundle.attributes import ItemAttributes
from recsys.bundle.bundle import USER_NODES
from recsys.bundle.item_columns import item_columns, readable_columns
from recsys.bundle.neighbours import neighbours_into_users
from recsys.bundle.parts.items import Items
from recsys.closed_form.cooccurrence import cooccurrence
from recsys.core.arrays import Float32Array, Int32Array
from recsys.core.ranking import Hits
from recsys.core.tables import ITEM, USER
from recsys.encode.history_scores import BlendedScorer
from recsys.fitting.cold_items import separators_of
from recsys.phases.phase import Phase
from recsys.scores.most_popular import item_popularity
from recsys.search.exact import VectorScorer, rank
from recsys.second_stage.columns import codes_of, common_values
from recsys.second_stage.inputs import FirstStage, RankedUsers, last_moments, latest_items
from recsys.second_stage.trees import Columns

Scorer = VectorScorer | BlendedScorer

_NEIGHBOURS = 20  # of each item, by common users


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


def candidates_of(phase: Phase, scorer: Scorer, users: Int32Array, count: int) -> Hits:
    """(users, count) of the first stage."""
    return rank(scorer, users, count, phase.seen, threads=phase.config.threads)


def spread(scores: Float32Array) -> float:
    """The unit of its scores: their mean standard deviation within a user; 1 where all are alike."""
    finite = np.ma.masked_invalid(scores.astype(np.float64))
    deviations = finite.std(axis=1)
    return float(deviations.mean() or 1.0)
