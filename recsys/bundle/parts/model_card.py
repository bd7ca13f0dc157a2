"""How the model was made and judged. File: model_card.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered
from recsys.bundle.storage import load_document, save_document
from recsys.cold_items.new_items import NewItems

_FILE = "model_card.json"


@registered
@dataclass(frozen=True)
class ModelCard:
    """card: a JSON document; timings under "measured" do not change the name of a bundle."""

    card: dict[str, Any]

    reads: ClassVar[Kinds] = ()

    def check(self, num_users: int, num_items: int) -> None:
        """It has no rows."""

    def save(self, folder: Path) -> Facts:
        save_document(folder / _FILE, self.card)
        return {}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self:
        return cls(load_document(folder / _FILE))

    def append_items(self, new: NewItems, parts: Parts) -> "ModelCard":
        num_cold = self.card.get("cold_items", 0) + len(new)
        return ModelCard({**self.card, "cold_items": num_cold})

    def drop_user(self, user: ForgottenUser) -> Self:
        return self
