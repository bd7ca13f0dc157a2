"""Paths of tables are taken as they stand, whatever signs they hold."""

import ast
from pathlib import Path

import polars as pl
import pytest

from recsys.core.table_files import num_rows_of_arrow, read_arrow, read_parquet, scan_parquet

ROOT = Path(__file__).parents[2]
WANTED = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})
DECOY = pl.DataFrame({"a": [9], "b": ["other"]})


@pytest.mark.parametrize("name", ["t[1]", "run [v2]", "all*", "what?", "{a,b}", "day=2024-01-01"])
def test_names_are_no_patterns(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    decoys = [tmp_path / "t1", tmp_path / "run v", tmp_path / "allx", tmp_path / "whatx"]
    for decoy in decoys:
        decoy.mkdir()
        DECOY.write_parquet(decoy / f"{name}.parquet")
        DECOY.write_ipc(decoy / f"{name}.arrow")
    WANTED.write_parquet(folder / f"{name}.parquet")
    WANTED.write_ipc(folder / f"{name}.arrow")
    assert read_parquet(folder / f"{name}.parquet").equals(WANTED)
    assert read_parquet(folder / f"{name}.parquet", columns=["b"]).equals(WANTED.select("b"))
    assert scan_parquet(str(folder / f"{name}.parquet")).collect().equals(WANTED)
    assert len(scan_parquet([folder / f"{name}.parquet"] * 2).collect()) == 4
    assert read_arrow(folder / f"{name}.arrow").equals(WANTED)
    assert read_arrow(folder / f"{name}.arrow", ["a"]).equals(WANTED.select("a"))
    assert num_rows_of_arrow(folder / f"{name}.arrow") == 2


_EXPANDING = {"read_parquet", "scan_parquet", "read_ipc", "scan_ipc", "read_parquet_schema"}
_EXPANDING |= {"read_csv", "read_ndjson"}


def expanding_calls(file: Path) -> list[str]:
    """Readers of polars called in a file."""
    calls = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in _EXPANDING:
            owner = node.value
            if isinstance(owner, ast.Name) and owner.id == "pl":
                calls.append(f"{file.name}: pl.{node.attr}")
    return calls


def test_nothing_else_calls_the_readers_of_polars() -> None:
    """They would expand brackets in the name of a folder. formats.py does for URLs; JSON is bytes."""
    allowed = {"table_files.py", "formats.py", "json_lines.py", "records.py"}
    calls = []
    for package in ("recsys", "pipelines", "serving"):
        for file in sorted((ROOT / package).rglob("*.py")):
            if file.name not in allowed:
                calls += expanding_calls(file)
    assert calls == []
