"""What a request will cost, told before anything is computed.

In milliseconds of one core, about: constants were measured on the bundled films (9,066 items, vectors 64
wide) and round upwards. What counts is the order of magnitude, so that no request of a few bytes takes
minutes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from recsys.bundle.filters import Filter
from recsys.core.errors import UsageError
from recsys.lookup.options import ListOptions
from recsys.lookup.query import Query
from recsys.search.diversity import CANDIDATES

_LIST = 0.5
_ITEM = 0.003  # of a list: found, named and written
_REASONS = 0.15  # of an item
_EVENT = 0.006  # of a history: read and encoded
_EVENT_REASONS = 0.00003  # of an item: the event's share in it
_NAME = 0.001  # of `allow` and `deny`
_VALUE = 0.02  # of a filter or an attribute; of friends
_PASS = 2e-6  # of an item: through one filter's list of values
_RANGE = 1e-5  # of an item: its number compared
_PRODUCT = 1e-7  # of two numbers in a matrix product
_COSINE = 5e-7  # the same where a list is made less alike, a vector at a time
_DEAR = 20.0
_DEAR_LISTS = 4.0
AT_MOST = 5000.0


@dataclass(frozen=True)
class Prices:
    """What is asked of a bundle with `items` items and vectors `width` wide.

    has_index: whether an index finds the nearest, so that not all are compared.
    """

    items: int
    width: int
    has_index: bool = False

    @cached_property
    def dear(self) -> float:
        """Requests that cost more are answered apart, one after the other; a plain list never is,
        however large the catalogue.
        """
        return max(_DEAR, _DEAR_LISTS * self.plain_list)

    @cached_property
    def plain_list(self) -> float:
        """Of a list of ten for a user."""
        return self.lists([Query("u")], ListOptions())

    def lists(self, queries: Sequence[Query], options: ListOptions) -> float:
        """Of a list for each query."""
        places = min(options.end, self.items)
        each = _LIST + _ITEM * places
        if not self.has_index:
            each += _PRODUCT * self.items * self.width
        if options.diversity:
            candidates = min(max(places, CANDIDATES), self.items)
            each += _COSINE * candidates * places * self.width
        if options.explain:
            each += _REASONS * min(options.k, self.items)
        named = len(options.allow or ()) + len(options.deny or ())
        price = len(queries) * each + _NAME * named + self._filters(options.filters.values())
        for query in queries:
            price += self._reading(query)
            if options.explain:
                price += _EVENT_REASONS * len(query.history) * min(options.k, self.items)
        return price

    def explanation(self, query: Query, parts: int) -> float:
        """Of one item's score."""
        return _LIST + _REASONS + _ITEM * parts + self._reading(query)

    def _filters(self, filters: Iterable[Filter]) -> float:
        price = 0.0
        for wanted in filters:
            price += _VALUE * len(wanted.values)
            num_passes = len(wanted.all) + bool(wanted.any) + bool(wanted.none)
            price += _PASS * self.items * num_passes
            if wanted.has_range:
                price += _RANGE * self.items
        return price

    def _reading(self, query: Query) -> float:
        values = len(query.friends)
        for wanted in query.attributes.values():
            values += len(wanted) if isinstance(wanted, Sequence) else 1
        return _EVENT * len(query.history) + _VALUE * values


def require_affordable(price: float) -> None:
    """Raises UsageError for a request that would keep a core busy for too long."""
    if price > AT_MOST:
        raise UsageError(
            f"this request would take about {price / 1000:,.0f} seconds, at most "
            f"{AT_MOST / 1000:g} are given",
            "Ask for fewer lists, a smaller k, or no explanations",
            code="too_expensive",
        )
