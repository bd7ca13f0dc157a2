"""The vectors of a bundle for a search that is not ours: ids, users, items, and what their inner
products mean.
"""

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from recsys.bundle.bundle import Bundle
from recsys.bundle.storage import save_array, save_document
from recsys.core.arrays import Float32Array
from recsys.core.artefacts import atomic_folder
from recsys.core.errors import UsageError, nearest
from recsys.core.tables import AVAILABLE, ITEM_ID, USER_ID
from recsys.search.faiss_index import write_flat_index

Format = Literal["parquet", "npy", "faiss"]
VECTOR = "vector"
CARD = "export.json"


def export(bundle: Bundle, form: str, out: Path) -> dict[str, Any]:
    """Write `out`, whole or absent, and export.json in it; returns the latter.

    parquet: users.parquet, items.parquet with ids, vectors and availability. npy: users.npy,
    items.npy, and their ids as JSON. faiss: the items as a flat inner-product index, the rest as
    npy. Raises UsageError for another format, and for a folder that holds anything but an earlier
    export.
    """
    formats = get_args(Format)
    if form not in formats:
        hint = nearest(form, formats) or f"One of {', '.join(formats)}"
        raise UsageError(f"--format {form}", hint)
    has_files = out.exists() and any(out.iterdir())
    if has_files and not (out / CARD).exists():
        raise UsageError(f"{str(out)!r} holds other files", "Choose an empty or a new --out")
    users, items = vectors(bundle)
    card = {
        "bundle": bundle.name,
        "format": form,
        "width": int(items.shape[1]),
        "users": len(users),
        "items": len(items),
        "score": "inner product of a user's and an item's vector",
        "left_out": _left_out(bundle),
    }
    with atomic_folder(out) as folder:
        if form == "parquet":
            _write_tables(folder, bundle, users, items)
        else:
            _write_arrays(folder, bundle, users, items, form == "faiss")
        save_document(folder / CARD, card)
    return card


def vectors(bundle: Bundle) -> tuple[Float32Array, Float32Array]:
    """(users, d), (items, d) whose inner products are the scores, but for what only a table between
    items adds.
    """
    users, items = np.asarray(bundle.user_vectors), np.asarray(bundle.item_vectors)
    if bundle.added is None or bundle.past is None:
        return users, items
    users, items = bundle.added.widened(users, items, bundle.past.items)
    return np.asarray(users, np.float32), np.asarray(items, np.float32)


def _left_out(bundle: Bundle) -> list[str]:
    """What the service adds to the inner product, and hides from the lists."""
    left_out = ["items that a user has had", "withdrawn items: see `available`"]
    if bundle.added is not None:
        left_out.insert(0, "scores between items (a sparse table)")
    return left_out


def _write_tables(folder: Path, bundle: Bundle, users: Float32Array, items: Float32Array) -> None:
    user_table = pl.DataFrame({USER_ID: bundle.users.ids, VECTOR: _column(users)})
    user_table.write_parquet(folder / "users.parquet")
    item_columns = {
        ITEM_ID: bundle.items.ids,
        AVAILABLE: bundle.available,
        VECTOR: _column(items),
    }
    pl.DataFrame(item_columns).write_parquet(folder / "items.parquet")


def _write_arrays(
    folder: Path, bundle: Bundle, users: Float32Array, items: Float32Array, index: bool
) -> None:
    """index: write the items as a FAISS index in place of an array."""
    save_array(folder / "users.npy", users)
    save_array(folder / "available.npy", bundle.available)
    save_document(folder / "users.json", bundle.users.ids.to_list())
    save_document(folder / "items.json", bundle.items.ids.to_list())
    if index:
        write_flat_index(folder / "items.faiss", items)
    else:
        save_array(folder / "items.npy", items)


def _column(rows: Float32Array) -> pl.Series:
    kind = pl.Array(pl.Float32, rows.shape[1])
    return pl.Series(VECTOR, np.ascontiguousarray(rows), dtype=kind)
