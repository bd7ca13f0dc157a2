"""What blends are worth to a bounded sample of validation users.

What blends have in common is computed once: every term gives a block of scores (users × items) at
weight 1, and trying a blend is a weighted sum of blocks and a selection of the best items.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array, Int32Array
from recsys.evaluate.deciding import deciding_per_user
from recsys.evaluate.metrics import PerUser, evenly
from recsys.phases.phase import Phase
from recsys.scores.addition import combined
from recsys.scores.additions import FittedTerms, UnitScores
from recsys.scores.blend import Blend
from recsys.scores.inputs import HistoryWeights
from recsys.scores.last_results import LastResults
from recsys.scores.term import TermSettings, WeightedSettings
from recsys.scores.trained_vectors import VectorScaling
from recsys.search.exact import VectorScorer, pairs_of, select

MOST_USERS = 10_000
"""They tell NDCG apart by less than the grid's steps."""
FEWEST_USERS = 200
"""Fewer tell nothing; where even these times the items are too many, no block is kept."""
BLOCK_ENTRIES = 40_000_000
"""Users × items of a block of float32: 160 MB, and six of them are held at most."""
_BLOCKS_KEPT = 4
_ENTRIES_AT_ONCE = 1 << 20  # summed and selected from while they are in the cache


def judging_users(phase: Phase) -> Int32Array:
    """Of the held-out users of a phase those by whom blends are judged, spread evenly."""
    affordable = BLOCK_ENTRIES // max(phase.interactions.num_items, 1)
    count = min(MOST_USERS, max(affordable, FEWEST_USERS))
    return evenly(phase.judge.held_out_users, count)


@dataclass(frozen=True)
class ScoreBlock:
    """What one term adds for the judging users.

    dense: (n, items); None for nothing.
    everybody: (items,), added to every row; None for nothing.
    gains: (n, items) for some of the items.
    """

    dense: Float32Array | None
    everybody: Float32Array | None
    gains: sparse.csr_matrix | None


@dataclass(frozen=True)
class _BlockKey:
    """What a block depends on: the term by its place, its settings, the weights of histories, and the
    unit that weights are counted in.
    """

    position: int
    settings: TermSettings
    weights: HistoryWeights
    unit: float


class JudgedBlends:
    """The deciding metric of blends by user.

    phase: judged by its held-out users.
    terms: of the phase.
    vectors: scaled as asked for; rows of the judging users and of `terms.inputs.sample` are right.
    users: (n,) who judges.
    """

    def __init__(
        self,
        phase: Phase,
        terms: FittedTerms,
        vectors: Callable[[VectorScaling], VectorScorer],
        users: Int32Array,
    ) -> None:
        self.phase = phase
        self.terms = terms
        self.users = users
        self.scores = UnitScores(terms, vectors)
        self._products = LastResults(self._inner_products, size=2)
        self._blocks = LastResults(self._block, size=_BLOCKS_KEPT)

    def values(self, blend: Blend) -> PerUser:
        """(n,) of the judging users."""
        num_items = self.phase.interactions.num_items
        if len(self.users) * num_items > BLOCK_ENTRIES:
            return self.phase.judge.per_user(self.scores.scorer(blend), self.users)
        k = self.phase.config.train.metric_k
        lists = self._lists(blend, k)
        return deciding_per_user(lists, self.users, self.phase.judge.held_out_matrix, k)

    def _lists(self, blend: Blend, k: int) -> Int32Array:
        """(n, k) internal item ids, without what users have seen."""
        num_items = self.phase.interactions.num_items
        products = self._products(blend.scaling)
        blocks = self._weighted_blocks(blend)
        seen = self.phase.seen
        rows_at_once = max(1, _ENTRIES_AT_ONCE // max(num_items, 1))
        lists = np.empty((len(self.users), k), np.int32)
        for start in range(0, len(self.users), rows_at_once):
            rows = slice(start, start + rows_at_once)
            scores = products[rows].copy()
            for weight, block in blocks:
                _add(scores, weight, block, rows)
            scores[pairs_of(seen, self.users[rows])] = -np.inf
            lists[rows] = select(scores, k).items
        return lists

    def _weighted_blocks(self, blend: Blend) -> list[tuple[np.float32, ScoreBlock]]:
        """The blocks of the terms that add something, with their weights."""
        unit = self.scores.unit(blend.scaling)
        blocks = []
        for position, settings in enumerate(blend.settings):
            if not settings.adds:
                continue
            weight, at_one, unit_at_one = 1.0, settings, unit
            if isinstance(settings, WeightedSettings):
                weight, at_one, unit_at_one = (
                    settings.weight * unit,
                    settings.changed(weight=1.0),
                    1.0,
                )
            key = _BlockKey(position, at_one, blend.history_weights, unit_at_one)
            blocks.append((np.float32(weight), self._blocks(key)))
        return blocks

    def _inner_products(self, scaling: VectorScaling) -> Float32Array:
        """(n, items) of the vectors."""
        return self.scores.vectors(scaling).score(self.users)

    def _block(self, key: _BlockKey) -> ScoreBlock:
        term = self.terms.terms[key.position]
        inputs = self.terms.inputs
        addition = term.addition(key.settings, key.weights, key.unit)
        behaviors = list(inputs.auxiliary)
        added = combined([addition], inputs.num_items, key.weights, behaviors)
        histories = inputs.histories(key.weights).of(self.users)
        gains = added.gains_of(histories) if addition.gains else None
        return ScoreBlock(added.dense_scores(histories.items), added.everybody, gains)


def _add(scores: Float32Array, weight: np.float32, block: ScoreBlock, rows: slice) -> None:
    """Add a block's rows to as many rows of scores, in place."""
    if block.dense is not None:
        scores += weight * block.dense[rows]
    if block.everybody is not None:
        scores += weight * block.everybody
    if block.gains is not None:
        gains = block.gains[rows]
        scores[pairs_of(gains, np.arange(len(scores)))] += weight * gains.data
