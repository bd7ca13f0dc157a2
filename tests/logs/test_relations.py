"""Files of edges → rows in the codes of a log: by hand, files, and everything that can be wrong
with them.
"""

import polars as pl
import pytest

from recsys.core.config import DataConfig, GraphConfig, RelationConfig
from recsys.core.errors import ConfigError, DataError
from recsys.core.ids import IdMap
from recsys.logs.ingest import CodedLog
from recsys.logs.relations import load_relations, read_relation, read_relations, save_relations

LOG = CodedLog(
    pl.LazyFrame(),
    IdMap(pl.Series(["1", "2", "3", "ann"]), "user"),
    IdMap(pl.Series(["10", "20", "30"]), "item"),
    ("interaction",),
    pl.DataFrame(),
    pl.DataFrame(),
)
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def read(tmp_path):
    """The relation in a frame, written as Parquet or CSV."""

    def read_frame(frame: pl.DataFrame, between, csv=False, **config):
        file = tmp_path / ("edges.csv" if csv else "edges.parquet")
        frame.write_csv(file) if csv else frame.write_parquet(file)
        return read_relation(
            RelationConfig(name="r", file=str(file), between=between, **config),
            DataConfig(separator=";"),
            LOG,
        )

    return read_frame


@pytest.mark.parametrize("csv", [False, True])
def test_users_and_items_become_codes(read, csv):
    found = read(pl.DataFrame({"who": [3, 1, 9], "likes": [10, 30, 10]}), ("user", "item"), csv)
    assert found.rows.rows() == [(0, 2), (2, 0)]
    assert found.ends == ("user", "item")
    assert (found.rows_read, found.drops) == (3, {"r: unknown user": 1})


def test_self_loops_repeats_and_missing_ends(read):
    frame = pl.DataFrame({"a": [1, 1, 2, 2, None, 3, 77], "b": [2, 2, 2, 1, 1, None, 88]})
    found = read(frame, ("user", "user"))
    assert found.rows.rows() == [(0, 1), (1, 0)]
    assert found.drops == {
        "r: self-loop": 1,
        "r: repeated": 1,
        "r: a missing": 1,
        "r: b missing": 1,
        "r: unknown user": 1,
    }
    assert found.rows_read - found.drops.total() == len(found.rows)


def test_values_become_text_under_their_side(read):
    frame = pl.DataFrame({"item_id": [10, 10, 20, 30], "tag": ["rock", " rock ", "pop", "  "]})
    found = read(frame, ("item", "tag"))
    assert found.ends == ("item", "item:tag")
    assert found.rows.rows() == [(0, "rock"), (1, "pop")]
    assert found.drops == {"r: repeated": 1, "r: empty item:tag": 1}


def test_numbers_as_values_read_alike(read):
    assert read(pl.DataFrame({"i": [10], "year": [1999.0]}), ("item", "year")).rows.rows() == [
        (0, "1999")
    ]


@pytest.mark.parametrize(("repeats", "weights"), [("once", [4.0, 1.0]), ("sum", [6.0, 1.0])])
def test_weights_that_are_none_are_counted(read, repeats, weights):
    frame = pl.DataFrame(
        {
            "i": [10, 10, 20, 20, 20, 20, 20],
            "t": list("aabbbbb"),
            "w": [2.0, 4.0, 1.0, NAN, INF, 0.0, -1.0],
        }
    )
    found = read(frame, ("item", "t"), weight_col="w", repeats=repeats)
    assert found.rows["weight"].to_list() == weights
    assert found.drops["r: weight missing"] == found.drops["r: weight zero or negative"] == 2


def test_counts_as_weights(read):
    found = read(pl.DataFrame({"i": [10, 10, 20], "t": list("aab")}), ("item", "t"), repeats="sum")
    assert found.rows["weight"].to_list() == [2.0, 1.0]


def test_rows_without_a_time_are_counted_and_the_latest_stays(read):
    frame = pl.DataFrame(
        {"a": [1, 1, 2], "b": [2, 2, 1], "t": [1_600_000_000, 1_700_000_000, None]}
    )
    found = read(frame, ("user", "user"), time_col="t")
    assert found.rows.rows() == [(0, 1, 1_700_000_000)]
    assert found.drops["r: timestamp missing"] == 1


def test_what_is_read_survives_its_files(read, tmp_path):
    frame = pl.DataFrame({"a": [1, 2], "b": [2, 9], "t": [1_600_000_000, 1_700_000_000]})
    found = read(frame, ("user", "user"), time_col="t", half_life_days=30, directed=False)
    save_relations([found], tmp_path)
    [again] = load_relations(tmp_path)
    assert again.rows.equals(found.rows)
    assert (again.name, again.ends, again.directed, again.half_life_days) == (
        "r",
        ("user", "user"),
        False,
        30,
    )
    assert (again.drops, again.rows_read) == (found.drops, 2)


def test_only_unknown_ids_leave_no_row(read):
    found = read(pl.DataFrame({"a": [71, 72], "b": [72, 73]}), ("user", "user"))
    assert (len(found.rows), found.drops) == (0, {"r: unknown user": 2})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"columns": ("a", "bb")}, "no column 'bb'; it has .* Did you mean 'b'"),
        ({"weight_col": "strength"}, "of 'r' has no column 'strength'"),
        ({"time_col": "when"}, "no column 'when'"),
    ],
)
def test_columns_that_are_not_there(read, config, message):
    with pytest.raises(DataError, match=message):
        read(pl.DataFrame({"a": [1], "b": [2]}), ("user", "user"), **config)


def test_files_that_are_no_edges(read, tmp_path):
    with pytest.raises(DataError, match="needs 2 of them"):
        read(pl.DataFrame({"a": [1]}), ("user", "user"))
    absent = GraphConfig(
        relations=[{"name": "r", "file": str(tmp_path / "no.csv"), "between": ["user", "user"]}]
    )
    with pytest.raises(DataError, match=r"no file .*no\.csv"):
        read_relations(absent, DataConfig(), LOG)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"between": ("tag", "brand")}, "between 'tag' and 'brand'"),
        ({"between": ("item", "a/b")}, "without a slash"),
        ({"between": ("user", "user"), "half_life_days": 3}, "needs times"),
        ({"between": ("user", "user"), "columns": ("a", "a")}, "both ends .* are read from 'a'"),
    ],
)
def test_relations_that_make_no_sense(config, message):
    with pytest.raises(ConfigError, match=message):
        RelationConfig(name="r", file="f.csv", **config)


@pytest.mark.parametrize(
    ("between", "ends"),
    [
        (("item", "tag"), ("item", "item:tag")),
        (("city", "user"), ("user:city", "user")),
        (("user", "item:city"), ("user", "item:city")),
        (("item:category", "parent"), ("item:category", "item:parent")),
    ],
)
def test_names_of_nodes(between, ends):
    assert RelationConfig(name="r", file="f.csv", between=between).ends == ends
