"""How fast this machine is beside the nominal one: only for telling, nothing is decided by it."""

import time
from functools import cache

import numpy as np

_SIDE = 384
_ROUNDS = 18
_SORTED = 400_000
_NOMINAL_SECONDS = 0.29
"""What `_work` takes on one core of the nominal machine."""


@cache
def relative_speed() -> float:
    """Above 1 where this machine is faster; about half a second, once in a process.

    By processor time, so that other programs do not count.
    """
    began = time.process_time()
    _work()
    return _NOMINAL_SECONDS / max(time.process_time() - began, 1e-6)


def _work() -> None:
    """A fixed computation like that of a run: products, exponentials, sorting, gathering."""
    draw = np.random.default_rng(0)
    left = draw.random((_SIDE, _SIDE), np.float32)
    numbers = draw.integers(0, _SORTED, _SORTED)
    for _ in range(_ROUNDS):
        left = np.exp(-(left @ left) / _SIDE)
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order[::-1]]
