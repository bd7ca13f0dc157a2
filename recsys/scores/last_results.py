"""Slow results that are asked for again while a search changes something else."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
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

    @property
    def results(self) -> Mapping[K, V]:
        """By argument, those that are kept: where all are, in the order in which they were asked for."""
        return self._results

    def __call__(self, argument: K) -> V:
        if argument not in self._results:
            self._results[argument] = self._compute(argument)
        if self._size is not None:
            self._results.move_to_end(argument)
            if len(self._results) > self._size:
                self._results.popitem(last=False)
        return self._results[argument]
