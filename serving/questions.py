"""What is asked of the service, as it goes from the API to the batches."""

from dataclasses import dataclass
from typing import NamedTuple

from recsys.lookup.visits import Event

Values = tuple[tuple[str, tuple[str, ...]], ...]
"""By column, some values of it."""


class Question(NamedTuple):
    """For whom: a user, a visitor (None) known by history, attributes or friends, or a user with
    news.
    """

    user: str | None
    history: tuple[Event, ...] = ()
    attributes: Values = ()
    friends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rules:
    """What a list may hold, as `Lookup.recommend` takes it. Equal rules share one matrix product.

    filters: by column, the values of which an item must have one. explain: say of every item why.
    """

    k: int
    offset: int = 0
    exclude_seen: bool = True
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] | None = None
    filters: Values = ()
    popularity: float = 0.0
    diversity: float = 0.0
    explain: bool = False
