"""By what items are similar. No files: bundle.json says it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered
from recsys.cold_items.new_items import NewItems

SimilarBy = Literal["vectors", "visitor"]
"""vectors: the cosine of their vectors. visitor: what somebody who has the one item alone is
recommended, with all terms of the score.
"""


@registered
@dataclass(frozen=True)
class SimilarItems:
    """As validation chose it; a bundle without this part goes by the vectors."""

    by: SimilarBy

    reads: ClassVar[Kinds] = ()

    def check(self, num_users: int, num_items: int) -> None:
        """It has no rows."""

    def save(self, folder: Path) -> Facts:
        return {"similar_items": self.by}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self | None:
        by = facts.get("similar_items")
        return None if by is None else cls(by)

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        return self

    def drop_user(self, user: ForgottenUser) -> Self:
        return self
