"""Arrays, sparse matrices and documents as files of a bundle; nothing is ever pickled."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors import SafetensorError
from scipy import sparse

from recsys.core.errors import DataError


def save_array(path: Path, values: NDArray[Any]) -> None:
    np.save(path, np.ascontiguousarray(values), allow_pickle=False)


def load_array(path: Path) -> NDArray[Any]:
    """The array, mapped rather than read."""
    values: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return values


def save_matrix(folder: Path, name: str, matrix: sparse.csr_matrix, weighted: bool) -> None:
    """indptr and indices, and the values when `weighted`, each as one .npy."""
    save_array(folder / f"{name}.indptr.npy", matrix.indptr)
    save_array(folder / f"{name}.indices.npy", matrix.indices)
    if weighted:
        save_array(folder / f"{name}.weight.npy", matrix.data.astype(np.float32))


def load_matrix(folder: Path, name: str, num_columns: int, weighted: bool) -> sparse.csr_matrix:
    """What `save_matrix` wrote; every value is 1 when not `weighted`."""
    indptr, indices = (
        load_array(folder / f"{name}.indptr.npy"),
        load_array(folder / f"{name}.indices.npy"),
    )
    values = (
        load_array(folder / f"{name}.weight.npy") if weighted else np.ones(len(indices), np.int8)
    )
    return sparse.csr_matrix(
        (values, indices, indptr), shape=(len(indptr) - 1, num_columns), copy=False
    )


def save_document(path: Path, document: Any) -> None:
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def load_document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def as_data_error(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file raises into DataError naming the bundle."""
    broken = (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        SafetensorError,
        pl.exceptions.PolarsError,
    )
    try:
        yield
    except broken as error:
        raise DataError(
            f"bundle {str(path)!r} cannot be read: {type(error).__name__}: {error}",
            "It is damaged or was made by another version: write it again with recsys index",
        ) from error
