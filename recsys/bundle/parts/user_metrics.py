"""What the tested model reached for each test user. File: test_values.parquet."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import polars as pl

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered
from recsys.cold_items.new_items import NewItems
from recsys.core.table_files import scan_parquet
from recsys.core.tables import USER_ID

_FILE = "test_values.parquet"


@registered
@dataclass(frozen=True)
class UserMetrics:
    """Bundles are compared user by user.

    values: USER_ID and a column for each metric; read when it is asked for.
    """

    values: pl.LazyFrame

    reads: ClassVar[Kinds] = ()

    def check(self, num_users: int, num_items: int) -> None:
        """Test users need not be users of this bundle."""

    def save(self, folder: Path) -> Facts:
        self.values.collect().write_parquet(folder / _FILE)
        return {}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self | None:
        if not (folder / _FILE).exists():
            return None
        return cls(scan_parquet(folder / _FILE))

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        return self

    def drop_user(self, user: ForgottenUser) -> "UserMetrics":
        return UserMetrics(self.values.filter(pl.col(USER_ID) != user.external))
