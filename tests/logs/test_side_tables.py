"""Side tables are read like logs, and no row of them goes or merges uncounted."""

import gzip

import polars as pl
import pytest

from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import DataError
from recsys.core.tables import AVAILABLE, ITEM_ID, TITLE, USER_ID
from recsys.logs.check import check_log
from recsys.logs.ingest import ingest, load_log
from recsys.logs.side_tables import read_availability, read_items, read_users

LOG = pl.DataFrame({USER_ID: ["1", "2", "3", "3"], ITEM_ID: ["1", "2", "3", "4"]})
TEXT = "item_id,title,shelf,price,new\n1,Größe,020,2.5,true\n2,Two,101,3,false\n"
ROWS = [("1", "Größe", "020", 2.5, True), ("2", "Two", "101", 3.0, False)]


def written(folder, content, name="items.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.csv", TEXT),
        ("items.csv", TEXT.replace(",", ";")),
        ("items.TSV", TEXT.replace(",", "\t")),
        ("items.tsv.csv", TEXT),
        ("items.csv", TEXT.replace("\n", "\r")),
        ("items.csv", TEXT.encode("utf-16")),
        ("items.csv", gzip.compress(TEXT.encode(), mtime=0)),
        ("items.csv", "sep=|\r\n" + TEXT.replace(",", "|").replace("\n", "\r\n")),
        (
            "items.jsonl",
            '{"item_id": 1, "title": "Größe", "shelf": "020", "price": 2.5, "new": true}\n'
            '{"item_id": 2, "title": "Two", "shelf": "101", "price": 3, "new": false}\n',
        ),
    ],
)
def test_item_tables_are_read_as_logs_are(tmp_path, name, content):
    items = written(tmp_path, content, name)
    # The separator of the log says nothing of a table that does not have it.
    for separator in (None, "::"):
        table = read_items(DataConfig(items=items, separator=separator))
        assert table.rows.rows() == ROWS
        assert table.facts.rows == table.facts.ids == 2


def test_codes_with_a_leading_zero_stay_text(tmp_path):
    content = "user_id,zip,age,score\n1,01234,20,0.5\n2,98765,031,0\n3,,7,-0.25\n"
    rows = read_users(DataConfig(users=written(tmp_path, content))).rows
    assert rows["zip"].to_list() == ["01234", "98765", None]
    assert rows["age"].to_list() == ["20", "031", "7"]
    assert rows["score"].to_list() == [0.5, 0.0, -0.25]
    table = pl.DataFrame({USER_ID: [1], "zip": ["0042"]})
    table.write_ndjson(tmp_path / "users.jsonl")
    rows = read_users(DataConfig(users=str(tmp_path / "users.jsonl"))).rows
    assert rows.rows() == [("1", "0042")]


def test_whole_numbers_beyond_64_bits_stay_text(tmp_path):
    content = "item_id,code,size\n1,123456789012345678901234567890,1e3\n2,5,2\n"
    rows = read_items(DataConfig(items=written(tmp_path, content))).rows
    assert rows["code"].to_list() == ["123456789012345678901234567890", "5"]
    assert rows["size"].to_list() == [1000.0, 2.0]


def test_messages_name_the_table(tmp_path):
    latin = written(tmp_path, "item_id,title\n1,Größe\n".encode("latin-1"), "latin.csv")
    with pytest.raises(DataError, match=r"latin\.csv' is not valid UTF-8.*iconv"):
        read_items(DataConfig(items=latin))
    other = written(tmp_path, "movie,title\n1,One\n", "other.csv")
    with pytest.raises(DataError, match=r"item table .*other\.csv'.* no column 'item_id'"):
        read_items(DataConfig(items=other))
    stray = written(tmp_path, 'item_id,title\n1,"One\n2,Two\n', "stray.csv")
    with pytest.raises(DataError, match=r"line 2 of .*stray\.csv'"):
        read_items(DataConfig(items=stray))
    table = read_items(DataConfig(items=stray, broken_lines="count"))  # as the remedy says
    assert table.facts.broken == 1
    assert "1 broken line, left out" in table.warnings(pl.Series(["2"]))[0]


def test_rows_of_one_id_are_gathered(tmp_path):
    content = (
        "item_id,title,genre,year,maker\n"
        "1,One,drama,1990,A\n1,One (again),horror,1991,A\n1,One,drama,1990,A\n"
        "2,Two,comedy,2000,B\n3,Three,,2001,\n,Lost,drama,1,C\n"
    )
    table = read_items(DataConfig(items=written(tmp_path, content)))
    assert table.rows.rows() == [
        ("1", "One", ["drama", "horror"], 1990, "A"),
        ("2", "Two", ["comedy"], 2000, "B"),
        ("3", "Three", [], 2001, None),
    ]
    facts = table.facts
    assert (facts.rows, facts.without_id, facts.repeated, facts.ids) == (6, 1, 2, 3)
    assert facts.rows == facts.without_id + facts.repeated + facts.ids
    assert facts.merged == ("genre",)
    lost, repeated = table.warnings(pl.Series(["1", "2", "3"]))
    assert "1 row without an id" in lost
    assert "2 rows are repeated" in repeated and "genre are gathered in lists" in repeated


def test_lists_of_one_id_are_gathered_too(tmp_path):
    table = pl.DataFrame({ITEM_ID: ["a", "b", "a"], "tags": [["x", "y"], ["z"], ["y", "w"]]})
    table.write_parquet(tmp_path / "items.parquet")
    rows = read_items(DataConfig(items=str(tmp_path / "items.parquet"))).rows
    assert rows.rows() == [("a", ["x", "y", "w"]), ("b", ["z"])]


def test_availability_that_contradicts_itself_is_refused(tmp_path):
    torn = written(tmp_path, "item_id,available\na,yes\nb,no\na,0\n", "torn.csv")
    with pytest.raises(DataError, match="'a' is available and that it is not"):
        read_availability(DataConfig(availability=torn))
    with pytest.raises(DataError, match="'a' is available and that it is not"):
        read_items(DataConfig(items=torn))
    # One row of each id, as the remedy says; saying the same twice does no harm.
    mended = written(tmp_path, "item_id,available\na,yes\nb,no\na,1\n", "mended.csv")
    table = read_availability(DataConfig(availability=mended))
    assert table.rows.rows() == [("a", True), ("b", False)]
    assert table.facts.repeated == 1
    assert read_items(DataConfig(items=mended)).rows[AVAILABLE].to_list() == [True, False]


def ingested(folder, items, users=None, availability=None):
    log = folder / "log.parquet"
    LOG.write_parquet(log)
    data = DataConfig(items=items, users=users, availability=availability)
    return ingest(str(log), data, CleanConfig(), folder / "out")


@pytest.mark.parametrize(
    ("ids", "match"),
    [
        (["001", "002", "003", "004"], "matches nothing.*the log has '1' say, the table '001'"),
        (["1", "x"], "matches little: 1 of 4 ids.*the log has '2' say, the table 'x'"),
    ],
)
def test_a_join_that_finds_little_is_said(tmp_path, ids, match):
    items = str(tmp_path / "items.parquet")
    pl.DataFrame({ITEM_ID: ids, TITLE: ids}).write_parquet(items)
    report = ingested(tmp_path, items)
    [warning] = report.warnings
    assert pl.Series([warning]).str.contains(match).all()
    [facts] = report.document()["side_tables"]
    assert facts["matched"] == 4 - report.items_without_attributes
    # `data check` says the same.
    data = DataConfig(items=items)
    assert warning in check_log(str(tmp_path / "log.parquet"), data, CleanConfig()).warnings


def test_a_table_that_fits_warns_of_nothing(tmp_path):
    items = str(tmp_path / "items.parquet")
    pl.DataFrame({ITEM_ID: ["1", "2", "9"]}).write_parquet(items)
    users = written(tmp_path, "user_id,age\n1,30\n2,40\n", "users.csv")
    withdrawn = written(tmp_path, "item_id\n9\n", "gone.csv")
    report = ingested(tmp_path, items, users, withdrawn)
    assert not report.warnings
    assert [facts["matched"] for facts in report.side_tables] == [2, 1, 2]
    log = load_log(tmp_path / "out")
    assert log.item_table[AVAILABLE].all()
