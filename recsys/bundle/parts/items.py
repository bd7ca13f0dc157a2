"""Items: ids, columns, availability, and which of them has which value of a column.

Files: items.parquet, available.npy, and those of `ItemAttributes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from recsys.bundle.attributes import ItemAttributes, read_attributes_of
from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered, require_rows
from recsys.bundle.storage import load_array, save_array
from recsys.cold_items.new_items import NewItems
from recsys.core.arrays import BoolArray
from recsys.core.ids import IdMap
from recsys.core.table_files import read_parquet
from recsys.core.tables import AVAILABLE, ITEM, ITEM_ID

_FILE, _AVAILABLE_FILE = "items.parquet", "available.npy"


@registered
@dataclass(frozen=True)
class Items:
    """What may be recommended.

    ids: by internal id.
    table: ITEM_ID, title and other columns, one row for each item.
    available: (items,) False for withdrawn items.
    separators: of the columns whose text holds several values.
    attributes: which items have which value.
    """

    ids: IdMap
    table: pl.DataFrame
    available: BoolArray
    separators: Mapping[str, str]
    attributes: ItemAttributes

    reads: ClassVar[Kinds] = ()

    @classmethod
    def of(
        cls, ids: IdMap, columns: pl.DataFrame | None = None, separators: Mapping[str, str] = {}
    ) -> Self:
        """columns: one row for each item; AVAILABLE may be among them.

        Raises UsageError for another number of rows.
        """
        table = pl.DataFrame({ITEM_ID: ids.ids})
        if columns is not None:
            require_rows("rows of the item table", len(columns), len(ids))
            table = table.hstack(columns.drop([ITEM_ID], strict=False).get_columns())
        available = np.ones(len(table), bool)
        if AVAILABLE in table.columns:
            available = table[AVAILABLE].fill_null(True).to_numpy()
            table = table.drop(AVAILABLE)
        return cls(ids, table, available, separators, read_attributes_of(table, separators))

    @property
    def full_table(self) -> pl.DataFrame:
        """The table with AVAILABLE."""
        return self.table.with_columns(pl.Series(AVAILABLE, self.available))

    def check(self, num_users: int, num_items: int) -> None:
        require_rows("ids of items", len(self.ids), num_items)
        require_rows("rows of the item table", len(self.table), num_items)

    def save(self, folder: Path) -> Facts:
        self.table.write_parquet(folder / _FILE)
        self.attributes.save(folder)
        save_array(folder / _AVAILABLE_FILE, np.packbits(self.available))
        facts: dict[str, Any] = {"num_items": len(self.ids)}
        if self.separators:
            facts["separators"] = dict(self.separators)
        return facts

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self:
        table = read_parquet(folder / _FILE)
        bits = np.unpackbits(load_array(folder / _AVAILABLE_FILE), count=facts["num_items"])
        return cls(
            ids=IdMap(table[ITEM_ID], ITEM),
            table=table,
            available=bits.astype(bool),
            separators=facts.get("separators", {}),
            attributes=ItemAttributes.load(folder, table),
        )

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        table = pl.concat([self.full_table, new.table], how="diagonal")
        return self.of(IdMap(table[ITEM_ID], ITEM), table, self.separators)

    def drop_user(self, user: ForgottenUser) -> Self:
        return self
