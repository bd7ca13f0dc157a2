"""ItemKNN: cosine similarity with shrinkage, each candidate scored by its own nearest items (Sarwar
et al. 2001).
"""

from recsys.closed_form.cooccurrence import cooccurrence
from recsys.closed_form.linear import LinearScorer
from recsys.closed_form.spectral import normalised
from recsys.core.interactions import Interactions


def fit_itemknn(
    interactions: Interactions, target: str, neighbours: int, shrinkage: float, damping: float = 0.0
) -> LinearScorer:
    """score_ui = Σ s_ij over the items j of user u that are among the most similar to candidate i.

    Args:
        interactions: of a phase.
        target: the behaviour to learn from and to predict.
        neighbours: how many similar items each candidate has.
        shrinkage: added to the denominator of the cosine.
        damping: a user counts d_u^(−damping) in the similarity: that two items share a user of
            everything says little.
    """
    rows = interactions.matrix((target,))
    similar = cooccurrence(normalised(rows, damping / 2, 0.0), "cosine", neighbours, shrinkage)
    return LinearScorer(rows, similar.T.tocsr())
