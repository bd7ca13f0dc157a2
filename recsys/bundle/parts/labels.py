"""What nodes of attributes stand for. File: labels.parquet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import polars as pl

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered
from recsys.cold_items.new_items import NewItems
from recsys.core.table_files import read_parquet
from recsys.core.tables import LABEL, NODE_TYPE

_FILE = "labels.parquet"


@registered
@dataclass(frozen=True)
class Labels:
    """by_type: by node type, the value of each node."""

    by_type: Mapping[str, Sequence[str]]

    reads: ClassVar[Kinds] = ()

    def check(self, num_users: int, num_items: int) -> None:
        """Nodes are neither users nor items."""

    def save(self, folder: Path) -> Facts:
        types: list[str] = []
        labels: list[str] = []
        for node_type in sorted(self.by_type):
            types += [node_type] * len(self.by_type[node_type])
            labels += self.by_type[node_type]
        schema = {NODE_TYPE: pl.String, LABEL: pl.String}
        table = pl.DataFrame({NODE_TYPE: types, LABEL: labels}, schema=schema)
        table.write_parquet(folder / _FILE)
        return {}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self:
        by_type: dict[str, list[str]] = {}
        for node_type, label in read_parquet(folder / _FILE).select(NODE_TYPE, LABEL).iter_rows():
            by_type.setdefault(node_type, []).append(label)
        return cls(by_type)

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        return self

    def drop_user(self, user: ForgottenUser) -> Self:
        return self
