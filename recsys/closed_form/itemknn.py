"""ItemKNN: cosine similarity with shrinkage, each candidate scored by its own nearest items (Sarwar et al. 2001)."""

from recsys.closed_form.cooccurrence import cooccurrence
from recsys.closed_form.linear import LinearScorer
from recsys.core.interactions import Interactions


def fit_itemknn(interactions: Interactions, target: str, neighbours: int, shrinkage: float) -> LinearScorer:
    """score_ui = Σ s_ij over the items j of user u that are among the `neighbours` most similar to candidate i."""
    rows = interactions.matrix((target,))
    similar = cooccurrence(rows, "cosine", neighbours, shrinkage)
    return LinearScorer(rows, similar.T.tocsr())
