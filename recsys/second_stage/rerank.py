"""Candidates in the order of both stages."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Float64Array, Int32Array
from recsys.core.ranking import NO_ITEM, Hits
from recsys.second_stage.candidates import with_others
from recsys.second_stage.features import Pairs, features_of
from recsys.second_stage.inputs import FirstStage, RankedUsers
from recsys.second_stage.trees import Trees


@dataclass(frozen=True)
class SecondStage:
    """Trees over one first stage."""

    trees: Trees
    first: FirstStage

    def num_candidates(self, k: int) -> int:
        """Of the first stage, for lists of k."""
        return max(k, self.trees.candidates)

    def rerank(
        self,
        users: RankedUsers,
        hits: Hits,
        k: int,
        exclude: sparse.csr_matrix | None = None,
        allow: BoolArray | None = None,
        boosted: bool = False,
    ) -> Hits:
        """The k best of candidates by both stages.

        Candidates of others join where they may be recommended. Candidates behind the first
        `trees.candidates` follow them as the first stage has them, so that pages of one list fit
        together.

        Args:
            users: Whose lists they are.
            hits: (n, candidates) of the first stage.
            k: Length of the lists.
            exclude: (n, items) what is not recommended to whom.
            allow: (items,) what may be recommended.
            boosted: Whether the scores of hits hold a popularity boost, which stays on them; nobody
                joins then, for a boost brings up, or keeps down, the popular ones itself.

        Returns:
            (n, k).
        """
        depth = self.trees.candidates
        further = Hits(hits.items[:, depth:], hits.scores[:, depth:])
        items = hits.items[:, :depth]
        if not boosted:
            items = with_others(self.first, users, items, self.trees.sources, exclude, allow)
        scores = self.scores(users, items)
        total = scores.both
        if boosted:
            # The boost is what hits have beyond the score of the first stage.
            is_item = items != NO_ITEM
            boosts = hits.scores[:, :depth][is_item] - scores.first[is_item]
            total[is_item] += boosts
        return _followed(_best(items, total, k), further, items, k)

    def scores(self, users: RankedUsers, items: Int32Array) -> "StageScores":
        """Of (n, m) items, padded by NO_ITEM."""
        row, position = np.nonzero(items != NO_ITEM)
        pairs = Pairs(self.first, users, row, items[row, position], self.trees.unit)
        features = features_of(pairs, self.trees.names)
        scores = StageScores(np.full(items.shape, -np.inf), np.full(items.shape, -np.inf))
        scores.first[row, position] = pairs.scores
        scores.both[row, position] = pairs.scores + self.trees.added(features)
        return scores

    def shares(self, users: RankedUsers, items: Int32Array) -> Float64Array:
        """(k, features + 1) what the trees add to the items (k,) of one user, by feature."""
        row = np.zeros(len(items), np.int64)
        pairs = Pairs(self.first, users, row, items, self.trees.unit)
        return self.trees.shares(features_of(pairs, self.trees.names))


@dataclass(frozen=True)
class StageScores:
    """(n, m) of the first stage, and of both; −inf for padding."""

    first: Float64Array
    both: Float64Array


def _best(items: Int32Array, scores: Float64Array, k: int) -> Hits:
    """The k best of each row; ties to the smaller id."""
    order = np.lexsort((items, -scores), axis=1)[:, :k]
    shape = (len(items), k)
    best = Hits(np.full(shape, NO_ITEM, np.int32), np.full(shape, -np.inf, np.float32))
    best.items[:, : order.shape[1]] = np.take_along_axis(items, order, axis=1)
    best.scores[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    return best


def _followed(best: Hits, further: Hits, candidates: Int32Array, k: int) -> Hits:
    """Lists that the second stage leaves short, with what follows in the first."""
    if not further.items.shape[1]:
        return best
    for row in range(len(best.items)):
        # Candidates of others may have come from behind: no item stands in a list twice.
        count = int((best.items[row] != NO_ITEM).sum())
        is_new = ~np.isin(further.items[row], candidates[row])
        rest = further.items[row][is_new][: k - count]
        best.items[row, count : count + len(rest)] = rest
        best.scores[row, count : count + len(rest)] = further.scores[row][is_new][: k - count]
    return best
