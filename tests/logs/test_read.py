"""Reading: every format and type gives the same rows; every bad input a message that helps."""

import gzip
from datetime import UTC, date, datetime

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.config import DataConfig
from recsys.core.errors import DataError
from recsys.core.tables import AVAILABLE, BEHAVIOR, ITEM_ID, RATING, TIME, TITLE, USER_ID, WEIGHT
from recsys.logs.read import scan_log
from recsys.logs.side_tables import read_availability, read_items, read_users

STANDARD = DataConfig()
ROWS = [("a", "x", 1_600_000_000), ("a", "y", 1_600_000_060), ("b", "x", 1_600_000_120)]
LOG = pl.DataFrame(ROWS, schema=[USER_ID, ITEM_ID, TIME], orient="row")
TEXT = f"{USER_ID},{ITEM_ID},{TIME}\n" + "".join(f"{u},{i},{t}\n" for u, i, t in ROWS)


def zst(path, text):
    with pa.output_stream(path, compression="zstd") as stream:
        stream.write(text.encode())


def write(folder, name):
    path = folder / name
    match path.suffixes:
        case [".parquet"]:
            LOG.write_parquet(path)
        case [".jsonl"]:
            LOG.write_ndjson(path)
        case [".jsonl", ".gz"]:
            path.write_bytes(gzip.compress(LOG.write_ndjson().encode()))
        case [".tsv"]:
            path.write_text(TEXT.replace(",", "\t"))
        case [".csv", ".gz"]:
            path.write_bytes(gzip.compress(TEXT.encode()))
        case [".csv", ".zst"]:
            zst(path, TEXT)
        case _:
            path.write_text(TEXT)
    return path


def rows_of(source, data=STANDARD):
    return scan_log(source, data).collect()[0].rows()


@pytest.mark.parametrize(
    "name",
    ["a.parquet", "a.csv", "a.csv.gz", "a.csv.zst", "a.tsv", "a.jsonl", "a.jsonl.gz", "a.txt"],
)
def test_every_format_gives_the_same_rows(tmp_path, name):
    assert rows_of(write(tmp_path, name)) == ROWS


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz", "a.jsonl"])
def test_urls_are_read_as_polars_reads_them(tmp_path, name):
    assert rows_of(f"file://{write(tmp_path, name)}") == ROWS


def test_a_text_url_without_a_header_line(tmp_path):
    (tmp_path / "a.tsv").write_text("a\tx\t5\n")
    data = DataConfig(columns=[USER_ID, ITEM_ID, TIME], separator="\t")
    assert rows_of(f"file://{tmp_path}/a.tsv", data) == [("a", "x", 5)]


def test_a_url_that_is_not_there(tmp_path):
    for name in ("none.parquet", "none.csv", "none.jsonl"):
        with pytest.raises(DataError, match="there is no file"):
            scan_log(f"file://{tmp_path}/{name}", STANDARD)


def test_folder_glob_and_list_are_read_in_name_order(tmp_path):
    write(tmp_path, "b.csv")
    write(tmp_path, "a.csv")
    (tmp_path / "README.txt").write_text("not a log")
    (tmp_path / "_SUCCESS.csv").write_text("")
    assert rows_of(tmp_path) == ROWS + ROWS
    assert rows_of(f"{tmp_path}/[ab].csv") == ROWS + ROWS
    assert rows_of([tmp_path / "b.csv", str(tmp_path / "a.csv")]) == ROWS + ROWS
    assert scan_log(tmp_path, STANDARD).files == (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))


@pytest.mark.parametrize(
    "frame", [LOG, LOG.lazy(), LOG.to_pandas()], ids=["polars", "lazy", "pandas"]
)
def test_frames(frame):
    assert rows_of(frame) == ROWS


def test_columns_are_mapped_by_name():
    frame = LOG.rename({USER_ID: "who", ITEM_ID: "what", TIME: "when"}).with_columns(
        pl.lit("buy").alias("how"), pl.lit(2).alias("many"), pl.lit(4.5).alias("stars")
    )
    data = DataConfig(
        user_col="who",
        item_col="what",
        time_col="when",
        behavior_col="how",
        weight_col="many",
        rating_col="stars",
    )
    rows, drops = scan_log(frame, data).collect()
    assert rows.columns == [USER_ID, ITEM_ID, TIME, BEHAVIOR, WEIGHT, RATING]
    assert rows.row(0) == ("a", "x", 1_600_000_000, "buy", 2.0, 4.5)
    assert not drops


def test_an_optional_column_can_be_left_out_though_present():
    assert scan_log(LOG, DataConfig(time_col="")).collect()[0].columns == [USER_ID, ITEM_ID]


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        ([1, 42], ["1", "42"]),
        ([1.0, 42.0], ["1", "42"]),
        ([1.5, float("nan")], ["1.5", None]),
        (["007", ""], ["007", ""]),
        (["x\ny", "größe 🐈"], ["x\ny", "größe 🐈"]),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ["b", "a"]),
        ([2**62, -5], [str(2**62), "-5"]),
        ([True, False], ["true", "false"]),
    ],
)
def test_ids_of_any_type_become_text(ids, wanted):
    rows, drops = scan_log(pl.DataFrame({USER_ID: ids, ITEM_ID: ["x", "y"]}), STANDARD).collect()
    assert rows[USER_ID].to_list() == [one for one in wanted if one is not None]
    assert drops.total() == wanted.count(None)


def test_text_ids_stay_as_written_unless_all_are_whole_floats(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("user_id,item_id\n17850.0,007\n,1.0\n42.0,8\n")
    rows, drops = scan_log(path, STANDARD).collect()
    assert rows.rows() == [("17850", "007"), ("42", "8")]
    assert drops == {"user id missing": 1}


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0")),
        min_size=1,
        max_size=8,
    )
)
def test_any_text_survives_csv(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    frame = pl.DataFrame(
        {USER_ID: texts, ITEM_ID: ["i"] * len(texts)},
        schema={USER_ID: pl.String, ITEM_ID: pl.String},
    )
    frame.write_csv(path, quote_style="always")
    assert scan_log(path, STANDARD).collect()[0][USER_ID].to_list() == texts


@pytest.mark.parametrize(
    ("times", "wanted", "unit"),
    [
        ([1_600_000_000, 0], [1_600_000_000, 0], "s"),
        ([1_600_000_000_999, 5], [1_600_000_000, 0], "ms"),
        ([1_600_000_000.7, -3.5], [1_600_000_000, -4], "s"),
        (["1600000000", " 1600000001 "], [1_600_000_000, 1_600_000_001], "s"),
        (["2020-09-13T12:26:40Z", "2020-09-13T14:26:40.5+02:00"], [1_600_000_000] * 2, "iso"),
        (["2020-09-13 12:26:40", "2020-09-13"], [1_600_000_000, 1_599_955_200], "iso"),
        (["2020-09-13T12:26", "2020-09-13T07:56:40-0430"], [1_599_999_960, 1_600_000_000], "iso"),
        ([date(2020, 9, 13), None], [1_599_955_200], "native"),
        ([datetime(2020, 9, 13, 12, 26, 40), None], [1_600_000_000], "native"),
        ([datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC), None], [1_600_000_000], "native"),
    ],
)
def test_times_of_any_kind_become_unix_seconds(times, wanted, unit):
    scan = scan_log(pl.DataFrame({USER_ID: ["a", "b"], ITEM_ID: ["x", "y"], TIME: times}), STANDARD)
    assert scan.time_unit == unit
    assert scan.collect()[0][TIME].to_list() == wanted


def test_other_time_zones_are_moments():
    times = pl.Series([datetime(2020, 9, 13, 14, 26, 40)]).dt.replace_time_zone("Europe/Berlin")
    assert rows_of(pl.DataFrame({USER_ID: ["a"], ITEM_ID: ["x"], TIME: times})) == [
        ("a", "x", 1_600_000_000)
    ]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()))
def test_iso_text_agrees_with_the_standard_library(moment):
    moment = moment.replace(second=moment.second, microsecond=0)
    offset = moment.utcoffset()
    if offset is None or offset.total_seconds() % 60:
        return
    frame = pl.DataFrame({USER_ID: ["a"], ITEM_ID: ["x"], TIME: [moment.isoformat()]})
    rows = scan_log(frame, DataConfig(time_unit="iso")).collect()[0]
    assert rows[TIME].item() == int(moment.timestamp())


def test_bad_times_are_counted_by_reason():
    times = [1.6e9, float("nan"), None, float("inf"), 1.7e9]
    frame = pl.DataFrame({USER_ID: list("abcde"), ITEM_ID: ["x"] * 5, TIME: times}, strict=False)
    rows, drops = scan_log(frame, STANDARD).collect()
    assert drops == {"timestamp missing": 2}
    assert rows[TIME].to_list()[0::2] == [1_600_000_000, 1_700_000_000]
    text = pl.DataFrame(
        {USER_ID: ["a", "b"], ITEM_ID: ["x", "x"], TIME: ["1600000000", "yesterday"]}
    )
    assert scan_log(text, STANDARD).drops == {"timestamp unreadable": 1}


@pytest.mark.parametrize(
    "times",
    [
        [1_600_000_000, 1_600_000_000_000],
        ["2020-09-13", "1600000000"],
        [1_600_000_000_000] * 3 + [1_600_000_000],
    ],
)
def test_mixed_time_units_are_refused(times):
    scan = scan_log(
        pl.DataFrame({USER_ID: ["a"] * len(times), ITEM_ID: ["x"] * len(times), TIME: times}),
        STANDARD,
    )
    with pytest.raises(DataError, match=r"mixes units.*time_unit"):
        scan.collect()
    with pytest.raises(DataError, match="mixes units"):
        _ = scan.drops


def test_a_named_unit_drops_and_counts_the_other():
    frame = pl.DataFrame(
        {USER_ID: ["a", "b"], ITEM_ID: ["x", "y"], TIME: ["2020-09-13", "1600000000"]}
    )
    assert scan_log(frame, DataConfig(time_unit="iso")).drops == {"timestamp unreadable": 1}


def test_files_in_different_units_are_refused(tmp_path):
    LOG.write_parquet(tmp_path / "a.parquet")
    LOG.with_columns(pl.col(TIME) * 1000).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"seconds in .*a.parquet.* milliseconds in .*b.parquet"):
        scan_log(tmp_path, STANDARD)


@pytest.mark.parametrize(
    ("time", "match"),
    [
        (1_600_000_000_000_000, "micro"),
        ("yesterday", "no time"),
        ([1], "type List"),
        (True, "type Boolean"),
    ],
)
def test_columns_that_hold_no_time_are_refused(time, match):
    with pytest.raises(DataError, match=match):
        scan_log(pl.DataFrame({USER_ID: ["a"], ITEM_ID: ["x"], TIME: [time]}), STANDARD)


def test_iso_wanted_but_numbers_found():
    with pytest.raises(DataError, match="not text"):
        scan_log(LOG, DataConfig(time_unit="iso"))


def test_weights_and_behaviors_that_cannot_be_used_are_counted():
    frame = pl.DataFrame(
        {
            USER_ID: list("abcdef"),
            ITEM_ID: ["x"] * 6,
            BEHAVIOR: ["buy", None, "buy", "buy", "buy", "buy"],
            WEIGHT: ["1", "1", "0", "-2", "many", None],
        }
    )
    rows, drops = scan_log(frame, STANDARD).collect()
    assert rows[USER_ID].to_list() == ["a"]
    assert drops == {
        "behavior missing": 1,
        "weight zero or negative": 2,
        "weight missing": 1,
        "weight unreadable": 1,
    }


BROKEN = "user_id,item_id,timestamp\na,x,1\na,x\na,x,1,2\nb,y,2\n"


def test_broken_lines_are_refused_with_the_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(BROKEN)
    with pytest.raises(DataError, match=r"2 fields instead of 3: 'a,x'.*broken_lines"):
        scan_log(path, STANDARD).collect()


@pytest.mark.parametrize("separator", [",", "::"])
def test_broken_lines_are_counted_by_choice(tmp_path, separator):
    path = tmp_path / "a.csv"
    path.write_text(BROKEN.replace(",", separator))
    scan = scan_log(path, DataConfig(broken_lines="count", separator=separator))
    rows, drops = scan.collect()
    assert rows.rows() == [("a", "x", 1), ("b", "y", 2)]
    assert drops == scan.drops == {"broken line": 2}


def test_lines_with_a_long_separator_are_refused_too(tmp_path):
    path = tmp_path / "a.dat"
    path.write_text("1::2::3\n1::2\n")
    data = DataConfig(columns=[USER_ID, ITEM_ID, TIME], separator="::")
    with pytest.raises(DataError, match="2 fields instead of 3"):
        scan_log(path, data).collect()
    path.write_text("1::2::3\r\n\r\n4::5::6\r\n")
    assert rows_of(path, data) == [("1", "2", 3), ("4", "5", 6)]


def test_broken_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"user_id": 1, "item_id": "x"}\n{"user_id": 1, "it\n\n{"item_id": "y", "user_id": "b", "z": [1]}\n'
    )
    with pytest.raises(
        DataError, match=r"line 2 of .*a\.jsonl' is not a JSON object: .*broken_lines"
    ):
        scan_log(path, STANDARD).collect()
    rows, drops = scan_log(path, DataConfig(broken_lines="count")).collect()
    assert rows.rows() == [("1", "x"), ("b", "y")]
    assert drops == {"broken line": 1}


@pytest.mark.parametrize(
    "bad", ['{"user_id": "a", "it', "[1, 2]", '{"user_id": "a", "item_id": "x"}}', "null"]
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_broken_json_line_far_down_is_named_or_counted(tmp_path, bad, pack):
    path = tmp_path / ("a.jsonl" if pack is bytes else "a.jsonl.gz")
    lines = [f'{{"user_id": "u{row}", "item_id": "x"}}' for row in range(30_000)]
    lines[24_999:25_001] = ["", bad]
    path.write_bytes(pack("\n".join(lines).encode()))
    with pytest.raises(
        DataError, match=rf"line 25001 of .*{path.name}' is not a JSON object: .*broken_lines"
    ):
        scan_log(path, STANDARD).collect()
    rows, drops = scan_log(path, DataConfig(broken_lines="count")).collect()
    assert len(rows) == 29_998 and drops == {"broken line": 1}


def test_quoted_fields_hold_separators_and_newlines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('user_id,item_id\n"a,b","x\ny"\n"""c""",z\n')
    assert rows_of(path) == [("a,b", "x\ny"), ('"c"', "z")]


def test_separator_is_told_from_the_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("﻿user_id;item_id\r\na;x\r\n", encoding="utf-8")
    assert rows_of(path) == [("a", "x")]


def test_files_without_a_header_line(tmp_path):
    path = tmp_path / "u.data"
    path.write_text("1\t2\t5\t1600000000\n3\t4\t1\t1600000001\n")
    data = DataConfig(columns=[USER_ID, ITEM_ID, RATING, TIME])
    assert scan_log(path, data).collect()[0].rows() == [
        ("1", "2", 1_600_000_000, 5.0),
        ("3", "4", 1_600_000_001, 1.0),
    ]


def test_a_file_that_is_no_log_is_named_among_the_others(tmp_path):
    LOG.write_parquet(tmp_path / "log.parquet")
    LOG.select(ITEM_ID).write_parquet(tmp_path / "tags.parquet")
    with pytest.raises(
        DataError, match=r"tags\.parquet', one of 2 files read as one log, has no column 'user_id'"
    ):
        scan_log(tmp_path, STANDARD)


def test_missing_column_names_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"no column 'user_ID'.*'user_id'"):
        scan_log(LOG, DataConfig(user_col="user_ID"))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("empty.csv", b"", "0 bytes"),
        ("empty.parquet", b"", "0 bytes"),
        ("cut.parquet", b"PAR1\0\0", "cut short"),
        ("blank.csv", b"\nuser_id,item_id\n", "empty line"),
        ("twice.csv", b"user_id,user_id,item_id\na,b,c\n", "several columns named 'user_id'"),
        ("latin.csv", "user_id,item_id\nGr\xf6\xdfe,x\n".encode("latin-1"), "UTF-8"),
        ("log.xlsx", b"PK", "format"),
        ("a.jsonl", b"[1, 2]\n", "line 1 .* not a JSON object"),
        ("cut.csv.gz", gzip.compress(TEXT.encode() * 200, mtime=0)[:-40], "cannot read"),
    ],
)
def test_unreadable_files_say_why(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=match):
        scan_log(tmp_path / name, STANDARD).collect()


def test_a_parquet_cut_inside_its_pages(tmp_path):
    path = tmp_path / "a.parquet"
    big = pl.DataFrame(
        {USER_ID: [f"u{n}" for n in range(5000)], ITEM_ID: [f"i{n % 97}" for n in range(5000)]}
    )
    big.write_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cut short"):
        scan_log(path, STANDARD)
    path.write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])
    with pytest.raises(DataError, match="cannot read the log"):
        scan_log(path, STANDARD).collect()


def test_sources_that_do_not_exist(tmp_path):
    with pytest.raises(DataError, match=r"no file .*nothing"):
        scan_log(tmp_path / "nothing.csv", STANDARD)
    with pytest.raises(DataError, match="holds no log file"):
        scan_log(tmp_path, STANDARD)
    write(tmp_path, "a.csv")
    write(tmp_path, "a.parquet")
    with pytest.raises(DataError, match="csv and parquet"):
        scan_log(tmp_path, STANDARD)
    with pytest.raises(DataError, match="dict"):
        scan_log({"a": 1}, STANDARD)


def test_pandas_frames_with_repeated_or_mixed_columns():
    frame = LOG.to_pandas()
    with pytest.raises(DataError, match="several columns named 'item_id'"):
        scan_log(pd.concat([frame, frame], axis=1), STANDARD)
    mixed = pd.DataFrame({USER_ID: ["a", object()], ITEM_ID: ["x", "y"]})
    with pytest.raises(DataError, match="pandas frame"):
        scan_log(mixed, STANDARD)


@pytest.mark.parametrize(
    ("column", "values", "match"),
    [
        (USER_ID, [["a"]], "type List"),
        (ITEM_ID, [date(2020, 1, 1)], "type Date"),
        (WEIGHT, ["many"], "no number"),
        (RATING, [date(2020, 1, 1)], "must be a number"),
    ],
)
def test_wrong_types_name_the_column_and_type(column, values, match):
    frame = pl.DataFrame({USER_ID: ["a"], ITEM_ID: ["x"]}).with_columns(pl.Series(column, values))
    with pytest.raises(DataError, match=match):
        scan_log(frame, STANDARD)


def test_user_and_item_from_one_column():
    with pytest.raises(DataError, match="both read from"):
        scan_log(LOG, DataConfig(item_col=USER_ID))


def test_files_with_different_columns(tmp_path):
    LOG.write_parquet(tmp_path / "a.parquet")
    LOG.drop(TIME).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"differ in \['timestamp'\]"):
        scan_log(tmp_path, STANDARD)


def test_files_may_differ_in_types(tmp_path):
    pl.DataFrame({USER_ID: [1], ITEM_ID: [7.0]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({USER_ID: ["b"], ITEM_ID: ["y"]}).write_parquet(tmp_path / "b.parquet")
    assert rows_of(tmp_path) == [("1", "7"), ("b", "y")]


def test_side_tables(tmp_path):
    (tmp_path / "items.csv").write_text(
        "movieId,name,year\n01,First,1990\n2,Second,\n2,Again,1\n,Lost,1\n"
    )
    pl.DataFrame({"who": [1, 2], "country": ["A", None]}).write_parquet(tmp_path / "users.parquet")
    data = DataConfig(
        items=str(tmp_path / "items.csv"),
        users=str(tmp_path / "users.parquet"),
        item_col="movieId",
        user_col="who",
        title_col="name",
    )
    items = read_items(data).rows
    assert items.columns == [ITEM_ID, TITLE, "year"]
    assert items.rows() == [("01", "First", 1990), ("2", "Second", None)]
    assert read_users(data).rows.rows() == [("1", "A"), ("2", None)]
    assert read_items(STANDARD) is read_users(STANDARD) is read_availability(STANDARD) is None


def test_availability_as_flags_or_as_withdrawn_ids(tmp_path):
    path = tmp_path / "available.csv"
    data = DataConfig(availability=str(path))
    path.write_text("item_id,available\na,true\nb,0\nc,No\n")
    assert read_availability(data).rows.rows() == [("a", True), ("b", False), ("c", False)]
    path.write_text("item_id\nb\n")
    assert read_availability(data).rows.rows() == [("b", False)]
    path.write_text("item_id,available\na,perhaps\n")
    with pytest.raises(DataError, match="'perhaps'"):
        read_availability(data)
    assert AVAILABLE == "available"


def test_side_table_without_its_id_column(tmp_path):
    (tmp_path / "items.csv").write_text("movie,name\n1,First\n")
    with pytest.raises(DataError, match="no column"):
        read_items(DataConfig(items=str(tmp_path / "items.csv"), item_col="movieId"))
