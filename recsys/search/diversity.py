"""Lists that repeat themselves less: maximal marginal relevance."""

from collections.abc import Callable

import numpy as np

from recsys.core.arrays import Float32Array
from recsys.core.artefacts import no_pause
from recsys.core.ranking import NO_ITEM, Hits

CANDIDATES = 500
"""From how many items a list is chosen, so that its pages fit together whatever their length."""
_PLACES_OF_A_STEP = 10  # a millisecond or two


def diversified(
    hits: Hits,
    item_vectors: Float32Array,
    diversity: float,
    k: int,
    between: Callable[[], None] = no_pause,
) -> Hits:
    """The first k places of each list after greedy re-ranking (Carbonell & Goldstein 1998); scores
    stay those of the items.

    Each place goes to the candidate with the largest (1 − λ) · relevance − λ · (largest cosine to
    the places before), λ = diversity in [0, 1]. Relevance is the score, brought to 0 … 1 over the
    candidates of the list.

    Args:
        hits: (n, candidates) lists.
        item_vectors: (items, d).
        diversity: λ.
        k: length of the new lists.
        between: called before every list and every few places; what it raises ends the work.
    """
    width = min(k, hits.items.shape[1])
    order = np.tile(np.arange(width), (len(hits.items), 1))
    for row, items in enumerate(hits.items):
        count = int((items != NO_ITEM).sum())
        scores = hits.scores[row, :count]
        vectors = item_vectors[items[:count]]
        picked = _picked(scores, vectors, diversity, min(width, count), between)
        order[row, : len(picked)] = picked
    new_items = np.take_along_axis(hits.items, order, axis=1)
    new_scores = np.take_along_axis(hits.scores, order, axis=1)
    return Hits(new_items, new_scores)


def _picked(
    scores: Float32Array,
    vectors: Float32Array,
    diversity: float,
    k: int,
    between: Callable[[], None],
) -> list[int]:
    """Places of the chosen candidates, in their new order."""
    between()
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors / np.where(lengths > 0, lengths, 1.0)
    relevance = (1 - diversity) * _unit_range(scores)
    # Largest cosine of each candidate to those picked so far.
    closeness = np.zeros(len(scores), np.float32)
    left = np.ones(len(scores), bool)
    picked: list[int] = []
    while len(picked) < k:
        gain = relevance - diversity * closeness
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        picked.append(best)
        if len(picked) % _PLACES_OF_A_STEP == 0:
            between()
        left[best] = False
        cosines = directions @ directions[best]
        closeness = cosines if len(picked) == 1 else np.maximum(closeness, cosines)
    return picked


def _unit_range(scores: Float32Array) -> Float32Array:
    """Scores between 0 and 1; all 0 where they are equal."""
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    extent = high - low if high > low else 1.0
    return np.asarray((scores - low) / extent, np.float32)
