"""Which places of a list are wanted, and how it is bent."""

from dataclasses import dataclass

from recsys.core.errors import UsageError

_FURTHEST = 100
_DIAL = "At 1 an item that e times as many users had scores 1 more; for scores between −1 and 1 try 0.05"


@dataclass(frozen=True)
class Wanted:
    """Which places of which list. Raises UsageError for what no list can be."""

    k: int
    popularity: float = 0.0
    diversity: float = 0.0
    offset: int = 0

    def __post_init__(self) -> None:
        check_k(self.k)
        if self.offset < 0:
            raise UsageError(f"offset = {self.offset}: a list begins at 0")
        if not 0 <= self.diversity <= 1:
            raise UsageError(
                f"diversity = {self.diversity} is not between 0 and 1", "0 leaves the list as it is"
            )
        if not abs(self.popularity) <= _FURTHEST:
            raise UsageError(
                f"popularity = {self.popularity} is not between −{_FURTHEST} and {_FURTHEST}", _DIAL
            )


def check_k(k: int) -> None:
    if k < 1:
        raise UsageError(f"k = {k}: a list holds at least one item")
