"""Trees that order the candidates of the model once more.

Files: second_stage.txt, the model file of LightGBM; second_stage_neighbours.*.npy, which items go with
which. Bundles of before have no neighbours, and read no columns.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from scipy import sparse

from recsys.bundle.matrices import with_columns, with_rows
from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered, require_rows
from recsys.bundle.storage import load_matrix, save_matrix
from recsys.cold_items.new_items import NewItems
from recsys.second_stage.candidates import Sources
from recsys.second_stage.trees import Trees, require_lightgbm

_FILE, _NEIGHBOURS = "second_stage.txt", "second_stage_neighbours"


@registered
@dataclass(frozen=True)
class SecondStageTrees:
    """The trees, and what they read that no other part has.

    trees: read without LightGBM being imported; only that it is installed is checked.
    neighbours: (items, items) what each item of a history says for others; None for none.
    """

    trees: Trees
    neighbours: sparse.csr_matrix | None = None

    reads: ClassVar[Kinds] = ()

    def check(self, num_users: int, num_items: int) -> None:
        if self.neighbours is not None:
            require_rows("items with neighbours", self.neighbours.shape[0], num_items)

    def save(self, folder: Path) -> Facts:
        trees = self.trees
        (folder / _FILE).write_text(trees.text, encoding="utf-8")
        facts = {
            "features": list(trees.names),
            "unit": trees.unit,
            "candidates": trees.candidates,
            **trees.sources._asdict(),
        }
        if trees.columns:
            facts["columns"] = {owner: dict(columns) for owner, columns in trees.columns.items()}
        if self.neighbours is not None:
            save_matrix(folder, _NEIGHBOURS, self.neighbours, weighted=True)
        return {"second_stage": facts}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self | None:
        """Raises MachineError where LightGBM is not installed."""
        if "second_stage" not in facts:
            return None
        require_lightgbm()
        stage = facts["second_stage"]
        text = (folder / _FILE).read_text(encoding="utf-8")
        depths = {name: stage.get(name, 0) for name in Sources._fields}
        trees = Trees(
            text,
            tuple(stage["features"]),
            stage["unit"],
            stage["candidates"],
            Sources(**depths),
            stage.get("columns", {}),
        )
        neighbours = None
        if (folder / f"{_NEIGHBOURS}.indptr.npy").exists():
            neighbours = load_matrix(folder, _NEIGHBOURS, facts["num_items"], True)
        return cls(trees, neighbours)

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        """Nothing goes with new items yet."""
        if self.neighbours is None:
            return self
        return replace(self, neighbours=with_items(self.neighbours, len(new)))

    def drop_user(self, user: ForgottenUser) -> Self:
        """Learnt from everybody."""
        return self


def with_items(table: sparse.csr_matrix, count: int) -> sparse.csr_matrix:
    """An (items, items) table with further items, without entries."""
    return with_columns(with_rows(table, count), count)
