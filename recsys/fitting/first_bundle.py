"""A first bundle: what can be served before anything is trained."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.index import EXACT_CARD
from recsys.bundle.parts.similar_items import SimilarBy
from recsys.closed_form.costs import itemknn_cost
from recsys.closed_form.itemknn import fit_itemknn
from recsys.core.arrays import Float32Array
from recsys.core.encoder import Embeddings
from recsys.encode.history_scores import HistoryScores
from recsys.fitting.fit import bundle_of, problem_of
from recsys.graph.schema import Graph
from recsys.phases.phase import Phase
from recsys.scores.addition import Addition, combined
from recsys.scores.additions import with_history
from recsys.search.exact import VectorScorer
from recsys.search.tuning import TunedIndex
from recsys.train.families import embedded_untrained

_NEIGHBOURS, _SHRINKAGE, _DAMPING = 100, 5.0, 1.0  # the usual setting of ItemKNN
_TABLE_SECONDS = 40.0  # forecast, above which popularity alone makes the lists
_VECTOR_LENGTH = 1e-4  # only to tell equals apart
_POPULARITY_WEIGHT = 1e-3  # fills what the table leaves open


def first_bundle(phase: Phase, graph: Graph) -> Bundle:
    """ItemKNN over popularity, on the rows of a phase; nothing is chosen and nothing trained.

    Where the table is forecast to take too long, popularity alone.
    """
    untrained = embedded_untrained(problem_of(phase, graph, phase.config.model))
    embeddings = _short(untrained)
    added = _history_scores(phase)
    vectors = VectorScorer(embeddings.users, embeddings.items)
    scorer = with_history(phase, vectors, added)
    tuned = TunedIndex(None, dict(EXACT_CARD))
    # Vectors that were not trained say nothing of items.
    similar_by: SimilarBy = "visitor" if added.table.nnz else "vectors"
    card = _card(phase, added)
    return bundle_of(phase, graph, embeddings, scorer, tuned, card, similar_by=similar_by)


def _history_scores(phase: Phase) -> HistoryScores:
    """What items of a history lend to others, and popularity for everybody."""
    interactions = phase.interactions
    popularity = interactions.popularity(phase.target).astype(np.float32)
    # (items,) share of the most popular item's users
    share = popularity / max(float(popularity.max(initial=0.0)), 1.0)
    popular = np.asarray(_POPULARITY_WEIGHT * share, np.float32)
    addition = Addition(table=_table(phase), popular=popular)
    return combined([addition], interactions.num_items)


def _table(phase: Phase) -> sparse.csr_matrix:
    """(items, items) ItemKNN; empty where it would take too long."""
    interactions = phase.interactions
    num_users, num_items = interactions.num_users, interactions.num_items
    cost = itemknn_cost(num_users, num_items, len(interactions))
    if cost.seconds > _TABLE_SECONDS:
        return sparse.csr_matrix((num_items, num_items), dtype=np.float32)
    scorer = fit_itemknn(interactions, phase.target, _NEIGHBOURS, _SHRINKAGE, _DAMPING)
    return sparse.csr_matrix(scorer.table, dtype=np.float32)


def _short(embeddings: Embeddings) -> Embeddings:
    """Item vectors so short that they decide nothing but ties."""
    items: Float32Array = np.float32(_VECTOR_LENGTH) * embeddings.items
    return replace(embeddings, items=items)


def _card(phase: Phase, added: HistoryScores) -> Mapping[str, Any]:
    """What the bundle is, and that it was not tested."""
    interactions = phase.interactions
    kind = "ItemKNN and popularity" if added.table.nnz else "popularity"
    return {
        "name": phase.config.name,
        "first": True,
        "model": kind,
        "learnt_from": "the whole log",
        "interactions": len(interactions),
        "users": interactions.num_users,
        "items": interactions.num_items,
        "target": phase.target,
        "seed": phase.config.seed,
        "verdict": f"A first bundle ({kind}), served until the model is there; it was not tested.",
    }
