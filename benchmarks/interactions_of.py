"""A published split from files, as the arrays that every benchmark starts from."""

from pathlib import Path

import polars as pl
from scipy import sparse

from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions, fit_interactions, hold_out
from recsys.core.tables import ITEM, ITEM_ID, USER, USER_ID

TARGET = "interaction"


def load_phase(folder: Path) -> tuple[Interactions, sparse.csr_matrix, str]:
    """Train as interactions, the held-out (users, items) matrix, and the target behaviour's name."""
    train, test = (pl.read_parquet(folder / f"{part}.parquet") for part in ("train", "test"))
    users = IdMap(
        pl.concat([train[USER_ID], test[USER_ID]]).cast(pl.String).unique().sort(), "user"
    )
    items = IdMap(
        pl.concat([train[ITEM_ID], test[ITEM_ID]]).cast(pl.String).unique().sort(), "item"
    )
    fitted = fit_interactions(_coded(train, users, items), users, items, (TARGET,))
    held_out = hold_out(_coded(test, users, items), fitted).matrix(
        fitted.num_users, fitted.num_items
    )
    return fitted, held_out, TARGET


def _coded(rows: pl.DataFrame, users: IdMap, items: IdMap) -> pl.DataFrame:
    return pl.DataFrame(
        {USER: users.lookup(rows[USER_ID].to_list()), ITEM: items.lookup(rows[ITEM_ID].to_list())},
        schema={USER: pl.Int32, ITEM: pl.Int32},
    )
