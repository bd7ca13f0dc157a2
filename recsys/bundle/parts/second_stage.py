"""Trees that order the candidates of the model once more.

File: second_stage.txt, the model file of LightGBM.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered
from recsys.cold_items.new_items import NewItems
from recsys.second_stage.trees import Trees, require_lightgbm

_FILE = "second_stage.txt"


@registered
@dataclass(frozen=True)
class SecondStageTrees:
    """trees: read without LightGBM being imported; only that it is installed is checked."""

    trees: Trees

    reads: ClassVar[Kinds] = ()

    def check(self, num_users: int, num_items: int) -> None:
        """It has rows for neither."""

    def save(self, folder: Path) -> Facts:
        (folder / _FILE).write_text(self.trees.text, encoding="utf-8")
        facts = {
            "features": list(self.trees.names),
            "unit": self.trees.unit,
            "candidates": self.trees.candidates,
            "popular": self.trees.popular,
        }
        return {"second_stage": facts}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self | None:
        """Raises MachineError where LightGBM is not installed."""
        if "second_stage" not in facts:
            return None
        require_lightgbm()
        stage = facts["second_stage"]
        text = (folder / _FILE).read_text(encoding="utf-8")
        names = tuple(stage["features"])
        return cls(Trees(text, names, stage["unit"], stage["candidates"], stage["popular"]))

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        return self

    def drop_user(self, user: ForgottenUser) -> Self:
        """Learnt from everybody."""
        return self
