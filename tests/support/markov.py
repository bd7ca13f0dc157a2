"""A world in which order decides: users walk around a ring of items."""

from typing import NamedTuple

import numpy as np

from recsys.core.arrays import Int32Array
from recsys.core.interactions import Interactions
from recsys.core.ranking import Scorer, top_k
from small_logs import interactions


class Walks(NamedTuple):
    """train: what users did so far. following: (users,) the item that each takes next."""

    train: Interactions
    following: Int32Array

    def hit_rate(self, scorer: Scorer) -> float:
        """Share of users whose next item is the best of those they have not seen."""
        users = np.arange(self.train.num_users, dtype=np.int32)
        scores = scorer.score(users).copy()
        scores[self.train.matrix().nonzero()] = -np.inf
        return float((top_k(scores, 1).items[:, 0] == self.following).mean())


def walks(num_users: int = 400, num_items: int = 30, steps: int = 6, seed: int = 0) -> Walks:
    """Every user starts anywhere and goes on to the next item of a secret ring.

    All items are as popular, and the item before a walk shares as many users with it as the one
    behind: only the order tells them apart.
    """
    draw = np.random.default_rng(seed)
    ring = draw.permutation(num_items)
    starts = np.concatenate([np.arange(num_items), draw.integers(0, num_items, num_users)])
    starts = starts[:num_users]
    pairs, times = [], []
    for user, start in enumerate(starts):
        for step in range(steps):
            pairs.append((user, int(ring[(start + step) % num_items])))
            times.append(step)
    following = ring[(starts + steps) % num_items]
    return Walks(interactions(pairs, times), following.astype(np.int32))
