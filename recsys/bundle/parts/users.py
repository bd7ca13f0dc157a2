"""Ids of users. File: users.parquet."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered, require_rows
from recsys.cold_items.new_items import NewItems
from recsys.core.ids import IdMap
from recsys.core.table_files import read_parquet
from recsys.core.tables import USER, USER_ID

_FILE = "users.parquet"


@registered
@dataclass(frozen=True)
class Users:
    """Who is known."""

    ids: IdMap

    reads: ClassVar[Kinds] = ()

    def check(self, num_users: int, num_items: int) -> None:
        require_rows("ids of users", len(self.ids), num_users)

    def save(self, folder: Path) -> Facts:
        pl.DataFrame({USER_ID: self.ids.ids}).write_parquet(folder / _FILE)
        return {"num_users": len(self.ids)}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self:
        return cls(IdMap(read_parquet(folder / _FILE)[USER_ID], USER))

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        return self

    def drop_user(self, user: ForgottenUser) -> "Users":
        others = np.delete(np.arange(len(self.ids)), user.row)
        return Users(self.ids.subset(others))
