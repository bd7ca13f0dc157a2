"""Lists drawn at random, so that lists which nobody was shown can be judged by them.

The first `pool` items are put into an order that is uniform over all orders, of which the first k are
shown: every item of the pool stands at every place with the probability 1 / pool exactly, whatever the
scale of a bundle's scores, and no weight of an estimate is above `pool`. A softmax over the scores
(Plackett–Luce) would keep lists closer to the best, at the price of a temperature that nobody knows and
of weights without bound where a rare item is clicked.
"""

from hashlib import blake2b

import numpy as np

from recsys.core.arrays import Float64Array, Int64Array, IntArray
from recsys.experiments.assignment import position


def is_drawn(answer: str, salt: str, share: float) -> bool:
    """Whether an answer belongs to the share that is drawn; told by its id, whoever asks."""
    return share > 0 and position(answer, salt, "explore") < share


def drawn_order(answer: str, salt: str, pool: int) -> Int64Array:
    """(pool,) places of the list before, in their new order: the same for the same answer."""
    digest = blake2b(answer.encode(), digest_size=8, key=salt.encode(), person=b"order").digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
    order: Int64Array = generator.permutation(pool)
    return order


def propensities(pools: IntArray) -> Float64Array:
    """That one item of a pool stands at one place, by the size of the pool."""
    return 1.0 / pools
