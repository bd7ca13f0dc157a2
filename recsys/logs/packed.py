"""The bytes of a file, unpacked where its first bytes say that it is packed, whatever its name."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import polars as pl
import pyarrow as pa

from recsys.core.errors import DataError

BLOCK_BYTES = 8 << 20
START_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_NOT_READ = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "Unpack it, or save the sheet as CSV"),
    b"PK": ("a zip archive or an Excel workbook", "Unpack it, or save the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the sheet as CSV"),
    b"BZh": ("packed with bzip2", "Unpack it with bunzip2, or pack it with gzip"),
    b"\xfd7zXZ": ("packed with xz", "Unpack it with unxz, or pack it with gzip"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "Unpack it first"),
    b"SQLite format 3": ("an SQLite database", "Export the table as CSV"),
}


def open_bytes(name: str) -> IO[bytes]:
    """A local file as bytes, unpacked when it is gzip or zstd by its first bytes."""
    # Four bytes tell both: names say less, a .csv may be packed and a .gz may be not.
    with Path(name).open("rb") as stream:
        magic = stream.read(len(_ZSTANDARD))
    if magic.startswith(_GZIP):
        return cast(IO[bytes], gzip.open(name, "rb"))
    if magic.startswith(_ZSTANDARD):
        return cast(IO[bytes], pa.CompressedInputStream(pa.OSFile(name), "zstd"))
    return Path(name).open("rb")


def read_start(name: str) -> bytes:
    """The first bytes of a file, unpacked. Raises DataError for formats that are not read."""
    if is_remote(name):
        return next(read_blocks(name), b"")
    with open_bytes(name) as stream:
        start = stream.read(START_BYTES)
    for magic, (what, remedy) in _NOT_READ.items():
        if start.startswith(magic):
            raise DataError(f"the format of {name!r} is not read: it is {what}", remedy)
    return start


def read_blocks(name: str) -> Iterator[bytes]:
    """The bytes of a file or URL, unpacked, a block after another."""
    if is_remote(name):
        yield from _remote_blocks(name)
        return
    with open_bytes(name) as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block


def is_remote(name: str) -> bool:
    """Whether a name is a URL."""
    return "://" in name


def _remote_blocks(name: str) -> Iterator[bytes]:
    for batch in pl.scan_lines(name).collect_batches(chunk_size=100_000):
        lines = batch["line"].to_list()
        yield "\n".join(lines).encode() + b"\n"
