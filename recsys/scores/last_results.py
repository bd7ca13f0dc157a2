"""Slow results that are asked for again while a search changes something else."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LastResults(Generic[K, V]):
    """Calls a function, and keeps what it gave for the last few arguments.

    compute: the function.
    size: how many results are kept; None for all.
    """

    def __init__(self, compute: Callable[[K], V], size: int | None = None) -> None:
        self._compute = compute
        self._size = size
        self._results: OrderedDict[K, V] = OrderedDict()

    def __call__(self, argument: K) -> V:
        if argument not in self._results:
            self._results[argument] = self._compute(argument)
        self._results.move_to_end(argument)
        if self._size is not None and len(self._results) > self._size:
            self._results.popitem(last=False)
        return self._results[argument]
