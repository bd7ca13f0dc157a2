"""Tables of a lakehouse, told by what lies in their folder: Delta (_delta_log) and Iceberg (metadata).

A table is read at the version that is the newest when it is looked at, with the rows of its files in
the order in which the table lists them.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recsys.core.addresses import is_object
from recsys.core.errors import DataError, MachineError
from recsys.storage.store import Store

_METADATA = re.compile(r"(?:v|0*)(\d+).*\.metadata\.json(?:\.gz)?")
_DELTA_LOG, _ICEBERG = "_delta_log", "metadata"


@dataclass(frozen=True)
class TableFormat:
    """name: in messages. scan: the rows of the table in a folder; raises DataError and MachineError."""

    name: str
    scan: Callable[[str], pl.LazyFrame]


def table_format_of(name: str | Path) -> TableFormat | None:
    """The format of the table in a folder or at a URL; None where there is no table."""
    if is_object(str(name)):
        return ICEBERG if remote_iceberg(str(name)) else None
    folder = Path(name)
    if (folder / _DELTA_LOG).is_dir():
        return DELTA
    if (folder / _ICEBERG).is_dir() and _metadata_names(folder):
        return ICEBERG
    return None


def table_key(key: str) -> bool:
    """Whether an object, by its key below a folder, belongs to the log of a Delta table."""
    return _DELTA_LOG in key.split("/")


def remote_iceberg(url: str) -> bool:
    """Whether an Iceberg table lies at a URL of object storage: it is read where it is, as its
    metadata name every file in full.
    """
    return is_object(url) and "*" not in url and bool(_remote_metadata(url))


def _scan_delta(name: str) -> pl.LazyFrame:
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise _missing("Delta", "deltalake", "delta", error) from None
    try:
        table = DeltaTable(name)
        frame = pl.scan_delta(table)
        frame.collect_schema()
    except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable("Delta", name, error) from error
    return frame


def _scan_iceberg(name: str) -> pl.LazyFrame:
    try:
        import pyiceberg.exceptions
    except ImportError as error:
        raise _missing("Iceberg", "pyiceberg", "iceberg", error) from None
    # Polars would warn that a package that few have plans scans of many files faster.
    os.environ.setdefault("POLARS_ICEBERG_PLANNER", "pyiceberg")
    try:
        frame = pl.scan_iceberg(_newest_metadata(name), storage_options=_options(name))
        frame.collect_schema()
    except (
        pyiceberg.exceptions.NoSuchTableError,
        ValueError,
        OSError,
        pl.exceptions.PolarsError,
    ) as error:
        raise _unreadable("Iceberg", name, error) from error
    return frame


def _options(name: str) -> dict[str, str] | None:
    """What pyiceberg does not read from the environment by itself: another endpoint of S3."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint is None or not is_object(name):
        return None
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return {"s3.endpoint": endpoint, "s3.region": region}


def _newest_metadata(name: str) -> str:
    """The metadata file of the newest version."""
    if is_object(name):
        return f"{name.rstrip('/')}/{_ICEBERG}/{max(_remote_metadata(name), key=_version)}"
    folder = Path(name)
    return str((folder / _ICEBERG / max(_metadata_names(folder), key=_version)).resolve())


def _metadata_names(folder: Path) -> list[str]:
    names = [path.name for path in (folder / _ICEBERG).iterdir()]
    return [name for name in names if _METADATA.fullmatch(name)]


def _remote_metadata(url: str) -> list[str]:
    names = []
    for entry in Store(url).entries(f"{_ICEBERG}/"):
        name = entry.key.removeprefix(f"{_ICEBERG}/")
        if _METADATA.fullmatch(name):
            names.append(name)
    return names


def _version(name: str) -> tuple[int, str]:
    """Of a metadata file called v12.metadata.json or 00012-….metadata.json."""
    matched: Any = _METADATA.fullmatch(name)
    return int(matched[1]), name


def _missing(what: str, package: str, extra: str, error: ImportError) -> MachineError:
    return MachineError(
        f"this is a table of {what}, and {package} is not installed ({error})",
        f'pip install "recsys[{extra}]"',
    )


def _unreadable(what: str, name: str, error: Exception) -> DataError:
    first = str(error).strip().split("\n")[0]
    return DataError(
        f"cannot read the {what} table {name!r}: {first}",
        "A file of it is missing or damaged, or it has a feature that is not read",
    )


DELTA = TableFormat("delta", _scan_delta)
ICEBERG = TableFormat("iceberg", _scan_iceberg)
