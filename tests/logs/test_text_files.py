"""Text and JSON files as other programs write them: quotes, line ends, encodings, packing, late keys."""

import gzip
import json

import polars as pl
import pytest

from recsys.core.config import DataConfig
from recsys.core.errors import DataError
from recsys.core.tables import ITEM_ID, TIME, USER_ID
from recsys.logs import quotes, text
from recsys.logs.read import scan_log

COUNT = DataConfig(broken_lines="count")
LINES = [f"u{n % 7},i{n % 11},{1_600_000_000 + n}" for n in range(60)]
HEADER = f"{USER_ID},{ITEM_ID},{TIME}"


def rows_of(path, data=None):
    return scan_log(path, data or DataConfig()).collect()


def expected():
    rows = [line.split(",") for line in LINES]
    return [(user, item, int(time)) for user, item, time in rows]


def written(folder, content, name="log.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


STRAY = [
    pytest.param('zoe,"9 volt,1600000900', id="middle"),
    pytest.param('"zoe,lamp,1600000900', id="first"),
    pytest.param('zoe,lamp,"1600000900', id="last"),
]


@pytest.mark.parametrize("bad", STRAY)
@pytest.mark.parametrize("places", [[5], [59], [5, 6], [5, 30], [0, 20, 59]])
def test_a_quote_that_never_closes_breaks_its_own_line_only(tmp_path, bad, places):
    lines = list(LINES)
    for place in places:
        lines[place] = bad
    path = written(tmp_path, "\n".join([HEADER, *lines]) + "\n")
    with pytest.raises(DataError, match=rf"line {places[0] + 2} of .*log\.csv' has a quote"):
        rows_of(path)
    rows, drops = rows_of(path, COUNT)  # as the remedy says
    kept = [row for place, row in enumerate(expected()) if place not in places]
    assert rows.rows() == kept
    assert drops == {"broken line": len(places)}


@pytest.mark.parametrize("block_bytes", [64, 200, 1 << 20])
def test_records_of_several_lines_are_whole_in_blocks_of_any_size(
    tmp_path, monkeypatch, block_bytes
):
    monkeypatch.setattr("recsys.logs.packed.BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(quotes, "BLOCK_BYTES", 10_000)
    rows = [("a", f'say ""{n}"",\nthen\n\nleave', 1_600_000_000 + n) for n in range(40)]
    lines = [f'{user},"{item}",{time}' for user, item, time in rows]
    path = written(tmp_path, "\n".join([HEADER, *lines]))
    wanted = [(user, item.replace('""', '"'), time) for user, item, time in rows]
    assert rows_of(path)[0].rows() == wanted


def test_rows_that_a_stray_quote_would_join_are_told_from_a_text_of_two_lines(tmp_path):
    stray = f'{HEADER}\n1,"10 inch,1600000000\n2,x,1600000001\n3,5",1600000002\n'
    with pytest.raises(DataError, match="line 2 of"):
        rows_of(written(tmp_path, stray))
    two_lines = f'{USER_ID},{ITEM_ID}\na,"x\ny, z"\nb,w\n'
    assert rows_of(written(tmp_path, two_lines))[0].rows() == [("a", "x\ny, z"), ("b", "w")]


def test_a_field_open_for_a_whole_block_is_stray(tmp_path, monkeypatch):
    monkeypatch.setattr("recsys.logs.packed.BLOCK_BYTES", 300)
    monkeypatch.setattr(quotes, "BLOCK_BYTES", 300)
    lines = [*LINES[:3], 'zoe,x,"16', *LINES[4:]]
    rows, drops = rows_of(written(tmp_path, "\n".join([HEADER, *lines])), COUNT)
    assert rows.rows() == expected()[:3] + expected()[4:]
    assert drops == {"broken line": 1}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last_end", [True, False])
def test_every_kind_of_line_end(tmp_path, end, last_end):
    content = end.join([HEADER, *LINES]) + (end if last_end else "")
    assert rows_of(written(tmp_path, content))[0].rows() == expected()


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_encodings_are_told_from_the_bytes(tmp_path, encoding, name):
    content = f"{HEADER}\nJörg,größe,5\n"
    if name == "log.jsonl":
        content = '{"user_id": "Jörg", "item_id": "größe", "timestamp": 5}\n'
    path = written(tmp_path, content.encode(encoding), name)
    assert rows_of(path)[0].rows() == [("Jörg", "größe", 5)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_line_of_excel_that_names_the_separator(tmp_path, separator):
    content = "\r\n".join([f"sep={separator}", HEADER, *LINES]).replace(",", separator)
    if separator == ",":
        content = "\r\n".join(["sep=,", HEADER, *LINES])
    assert rows_of(written(tmp_path, content))[0].rows() == expected()


def test_the_separator_is_what_the_lines_agree_on(tmp_path):
    content = "user_id\titem_id\tname, year, place\na\tx\tone\nb\ty\ttwo\n"
    assert rows_of(written(tmp_path, content))[0].rows() == [("a", "x"), ("b", "y")]
    content = "user_id;item_id;note\na;x;1,5\nb;y;2,5\n"
    for name in ("log.csv", "log.TSV", "log.export"):
        path = written(tmp_path, content, name)
        if name == "log.export":
            with pytest.raises(DataError, match="Name it with one of"):
                rows_of(path)
        else:
            assert rows_of(path)[0].rows() == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.txt", "log.CSV"])
def test_packing_is_told_from_the_bytes(tmp_path, name):
    content = "\n".join([HEADER, *LINES])
    assert (
        rows_of(written(tmp_path, gzip.compress(content.encode(), mtime=0), name))[0].rows()
        == expected()
    )
    assert rows_of(written(tmp_path, content, name))[0].rows() == expected()


def test_parquet_and_json_are_known_by_their_bytes(tmp_path):
    table = pl.DataFrame({USER_ID: ["a"], ITEM_ID: ["x"]})
    table.write_parquet(tmp_path / "log.csv")
    assert rows_of(tmp_path / "log.csv")[0].rows() == [("a", "x")]
    table.write_ndjson(tmp_path / "log.export")
    assert rows_of(tmp_path / "log.export")[0].rows() == [("a", "x")]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"BZh9rest", "bzip2"),
        (b"\xfd7zXZ\0rest", "xz"),
        (b"SQLite format 3\0", "SQLite"),
        (b"user_id,item_id\na\0\0\0,x\n", "zero"),
        (gzip.compress(b"user_id,item_id\na,x\n" * 999, mtime=0)[:60], "cannot read"),
    ],
)
def test_bytes_that_are_not_read_are_called_what_they_are(tmp_path, content, match):
    with pytest.raises(DataError, match=match):
        rows_of(written(tmp_path, content))


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_array_is_read_like_lines(tmp_path, indent):
    entries = [{"user_id": f"u{n}", "item_id": n, "timestamp": 5 + n} for n in range(30)]
    content = json.dumps(entries, indent=indent)
    rows = rows_of(written(tmp_path, content, "log.json"))[0].rows()
    assert rows == [(f"u{n}", str(n), 5 + n) for n in range(30)]
    with pytest.raises(DataError, match=r"log\.json' begins as a JSON array"):
        rows_of(written(tmp_path, content[:-5], "log.json"))
    entries[3] = 7
    path = written(tmp_path, json.dumps(entries), "log.json")
    rows, drops = rows_of(path, COUNT)
    assert len(rows) == 29 and drops == {"broken line": 1}


def test_keys_that_come_late_are_columns_too(tmp_path):
    lines = [json.dumps({"user_id": n, "item_id": "x"}) for n in range(3_000)]
    lines += [json.dumps({"user_id": n, "item_id": "x", "behavior": "buy"}) for n in range(7)]
    rows, drops = rows_of(written(tmp_path, "\n".join(lines), "log.jsonl"))
    assert rows["behavior"].to_list() == ["buy"] * 7
    assert drops == {"behavior missing": 3_000}


def test_values_of_mixed_kinds_in_json(tmp_path):
    lines = ['{"user_id": 1, "item_id": {"id": 3}}', '{"user_id": "b", "item_id": 2.50}']
    rows, drops = rows_of(written(tmp_path, "\n".join(lines), "log.jsonl"))
    assert rows.rows() == [("1", '{"id": 3}'), ("b", "2.5")]
    assert not drops
    lines.insert(1, "null")
    rows, drops = rows_of(written(tmp_path, "\n".join(lines), "log.jsonl"), COUNT)
    assert rows.rows() == [("1", '{"id": 3}'), ("b", "2.5")]
    assert drops == {"broken line": 1}


def test_folders_of_a_partition_are_columns(tmp_path):
    for behavior, user in (("view", "a"), ("add%20to%20cart", "b"), ("view", "c")):
        folder = tmp_path / "log" / f"behavior={behavior}" / f"day={user}"
        folder.mkdir(parents=True)
        pl.DataFrame({USER_ID: [user], ITEM_ID: ["x"]}).write_parquet(folder / "part-0.parquet")
    (tmp_path / "log" / "_temporary").mkdir()
    (tmp_path / "log" / "_temporary" / "part-1.parquet").write_bytes(b"half")
    wanted = [("b", "x", "add to cart"), ("a", "x", "view"), ("c", "x", "view")]
    assert rows_of(tmp_path / "log")[0].rows() == wanted
    assert rows_of(f"{tmp_path}/log/*/*/*.parquet")[0].rows() == wanted
    files = sorted((tmp_path / "log").glob("behavior*/*/*.parquet"))
    assert rows_of(files)[0].rows() == wanted
    # A file of its own is read as it stands.
    assert rows_of(files[0])[0].columns == [USER_ID, ITEM_ID]


def test_a_partition_without_a_value_is_null(tmp_path):
    folder = tmp_path / "behavior=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir()
    written(folder, "user_id,item_id\na,x\n")
    assert rows_of(tmp_path)[1] == {"behavior missing": 1}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("name", ["log[1]", "log [ab]*", "what?", "{x,y}"])
def test_names_of_files_are_no_patterns(tmp_path, name, ending):
    table = pl.DataFrame({USER_ID: ["a"], ITEM_ID: ["x"]})
    decoy = pl.DataFrame({USER_ID: ["other"], ITEM_ID: ["y"]})
    for stem, content in ((name, table), ("log1", decoy), ("log a", decoy), ("whatx", decoy)):
        path = tmp_path / f"{stem}.{ending}"
        if ending == "csv":
            content.write_csv(path)
        elif ending == "jsonl":
            content.write_ndjson(path)
        else:
            content.write_parquet(path)
    assert rows_of(tmp_path / f"{name}.{ending}")[0].rows() == [("a", "x")]
    assert text.BROKEN not in rows_of(tmp_path / f"{name}.{ending}")[0].columns
