"""Ingest: agrees with a loop, gives the same bytes again, and does not depend on the number of
buckets.
"""

import json
import shutil
import subprocess
from collections import Counter

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.core.artefacts import content_sha256
from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import DataError, MachineError, UsageError
from recsys.core.tables import (
    AVAILABLE,
    BEHAVIOR,
    CODED_ORDER,
    CODED_SCHEMA,
    ITEM,
    ITEM_ID,
    SPLIT,
    TIME,
    TITLE,
    USER,
    USER_ID,
    WEIGHT,
)
from recsys.logs.ingest import ingest, ingest_split, load_log
from recsys.logs.reasons import KEPT, REASON, REASON_TYPE
from recsys.logs.spill import Spill
from recsys.logs.synthetic import communities, large_log

PLAIN, KEEP_ALL = DataConfig(), CleanConfig()


def outside(log):
    """Rows of an ingested log with outside ids."""
    rows = log.rows.collect()
    ids = {
        USER: log.users.external(rows[USER].to_numpy()),
        ITEM: log.items.external(rows[ITEM].to_numpy()),
    }
    return rows.with_columns(pl.Series(column, values) for column, values in ids.items())


def test_a_small_log_by_hand(tmp_path):
    log = pl.DataFrame(
        [
            ("b", "x", 30, 4.0),
            ("a", "y", 20, 5.0),
            ("a", "x", 10, 2.0),
            ("b", "x", 25, 5.0),
            (None, "x", 1, 5.0),
        ],
        schema=[USER_ID, ITEM_ID, TIME, "rating"],
        orient="row",
    )
    report = ingest(log, PLAIN, CleanConfig(min_rating=4), tmp_path / "log")
    found = load_log(tmp_path / "log")
    assert found.rows.collect().rows() == [(0, 1, 20), (1, 0, 25)]
    assert found.users.ids.to_list() == ["a", "b"] and found.items.ids.to_list() == ["x", "y"]
    assert found.behaviors == ("interaction",)
    assert report.drops == {"user id missing": 1, "rating below the minimum": 1, "duplicate": 1}
    assert (report.rows_read, report.rows_kept, report.users, report.items) == (5, 2, 2, 2)
    assert (report.first_time, report.last_time) == (20, 25)
    written = json.loads((tmp_path / "log" / "ingest.json").read_text())
    assert written["drops"] == dict(report.drops) and written["columns"]["rating"] == "rating"
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == [
        "ingest.json",
        "items.parquet",
        "rows",
        "users.parquet",
    ]


def by_loop(rows, min_user, min_item):
    """First row of each user, item and behaviour, then the k-core."""
    first = {}
    for row in sorted(rows, key=lambda row: row[2]):
        first.setdefault((row[0], row[1], row[3]), row)
    left = list(first.values())
    while True:
        users, items = Counter(row[0] for row in left), Counter(row[1] for row in left)
        kept = [row for row in left if users[row[0]] >= min_user and items[row[1]] >= min_item]
        if len(kept) == len(left):
            return kept
        left = kept


IDS = st.sampled_from(["a", "b", "c", "10", "9", "é", ""])


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(IDS, IDS, st.integers(0, 50), st.sampled_from(["view", "buy"])),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(2, 9),
)
def test_any_log_agrees_with_a_loop_whatever_the_buckets(
    tmp_path_factory, rows, min_user, min_item, buckets
):
    folder = tmp_path_factory.mktemp("ingest")
    log = pl.DataFrame(rows, schema=[USER_ID, ITEM_ID, TIME, BEHAVIOR], orient="row")
    clean = CleanConfig(min_user_interactions=min_user, min_item_interactions=min_item)
    wanted = by_loop(rows, min_user, min_item)
    if not wanted:
        with pytest.raises(DataError, match="no row is left"):
            ingest(log, PLAIN, clean, folder / "one")
        return
    one = ingest(log, PLAIN, clean, folder / "one", buckets=1)
    many = ingest(log, PLAIN, clean, folder / "many", buckets=buckets)
    found, again = load_log(folder / "one"), load_log(folder / "many")
    assert sorted(outside(found).select(USER, ITEM, TIME, BEHAVIOR).rows()) == sorted(wanted)
    assert found.rows.collect().equals(again.rows.collect())
    assert (
        found.users.ids.to_list() == again.users.ids.to_list() == sorted({row[0] for row in wanted})
    )
    assert one.drops == many.drops and one.drops.total() == len(rows) - len(wanted)
    assert one.core_rounds == many.core_rounds


def test_rows_are_in_their_total_order_over_all_parts(tmp_path):
    world = communities(behaviors=("view", "buy"))
    ingest(world.log, PLAIN, CleanConfig(duplicates="sum"), tmp_path / "log", buckets=5)
    rows = load_log(tmp_path / "log").rows.collect()
    assert len(list((tmp_path / "log" / "rows").iterdir())) == 5
    assert dict(rows.schema) == CODED_SCHEMA
    assert rows.equals(rows.sort(CODED_ORDER))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_same_input_gives_the_same_bytes(tmp_path, kind):
    world = communities(behaviors=("view", "buy"))
    path = tmp_path / f"log.{kind}"
    world.log.write_csv(path) if kind == "csv" else world.log.write_parquet(path)
    clean = CleanConfig(min_user_interactions=5, min_item_interactions=5)
    for name in ("one", "two"):
        ingest(path, PLAIN, clean, tmp_path / name, buckets=3)
    assert content_sha256(tmp_path / "one") == content_sha256(tmp_path / "two")


def test_rows_in_another_order_give_the_same_rows(tmp_path):
    log = communities(behaviors=("view", "buy")).log.unique([USER_ID, ITEM_ID, TIME, BEHAVIOR])
    for name, frame in {"one": log, "two": log.sample(fraction=1, shuffle=True, seed=1)}.items():
        ingest(frame, PLAIN, KEEP_ALL, tmp_path / name)
    assert (
        load_log(tmp_path / "one").rows.collect().equals(load_log(tmp_path / "two").rows.collect())
    )


def test_codes_persist_over_many_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("recsys.logs.spill.BATCH_ROWS", 50)
    paths = large_log(tmp_path / "raw", rows=3000, users=300, items=60, files=4)
    report = ingest(tmp_path / "raw", PLAIN, KEEP_ALL, tmp_path / "log", buckets=4)
    raw = pl.concat([pl.read_parquet(path) for path in paths])
    wanted = raw.group_by(USER_ID, ITEM_ID).agg(pl.col(TIME).min()).sort(USER_ID, ITEM_ID)
    found = outside(load_log(tmp_path / "log")).rename({USER: USER_ID, ITEM: ITEM_ID})
    assert found.select(wanted.columns).sort(USER_ID, ITEM_ID).equals(wanted)
    assert report.rows_read == 3000


def test_vocabularies_carry_the_side_tables(tmp_path):
    world = communities()
    world.items.head(60).write_parquet(tmp_path / "items.parquet")
    world.users.write_parquet(tmp_path / "users.parquet")
    (tmp_path / "withdrawn.csv").write_text("item_id\ni3\nnot in the log\n")
    data = DataConfig(
        items=str(tmp_path / "items.parquet"),
        users=str(tmp_path / "users.parquet"),
        availability=str(tmp_path / "withdrawn.csv"),
    )
    report = ingest(world.log, data, KEEP_ALL, tmp_path / "log")
    log = load_log(tmp_path / "log")
    assert log.item_table[ITEM_ID].equals(log.items.ids.alias(ITEM_ID))
    assert log.item_table.columns == [ITEM_ID, TITLE, "genres", AVAILABLE]
    assert log.item_table.filter(~pl.col(AVAILABLE))[ITEM_ID].to_list() == ["i3"]
    assert log.user_table.columns == [USER_ID, "country"]
    assert report.items_without_attributes == 60 and report.users_without_attributes == 0


def test_published_files_keep_their_split(tmp_path):
    world = communities()
    train, test = world.log.head(3000), world.log.tail(1000)
    ingest_split({"train": train, "test": test.drop(WEIGHT)}, PLAIN, KEEP_ALL, tmp_path / "log")
    rows = load_log(tmp_path / "log").rows.collect()
    assert rows.columns == [USER, ITEM, TIME, SPLIT]
    sizes = dict(rows.group_by(SPLIT).len().rows())
    assert sizes == {
        "train": len(train.unique([USER_ID, ITEM_ID])),
        "test": len(test.unique([USER_ID, ITEM_ID])),
    }


def test_published_files_need_train_and_test(tmp_path):
    with pytest.raises(UsageError, match="train and test"):
        ingest_split({"train": communities().log}, PLAIN, KEEP_ALL, tmp_path / "log")


@pytest.mark.parametrize(
    ("log", "clean", "match"),
    [
        ({USER_ID: ["a"], ITEM_ID: ["x"], TIME: [-5]}, {}, "dropped 1 timestamp negative"),
        (
            {USER_ID: ["a"], ITEM_ID: ["x"]},
            {"min_user_interactions": 2},
            "1 user with too few interactions",
        ),
        ({USER_ID: [None], ITEM_ID: ["x"]}, {}, "1 user id missing"),
    ],
)
def test_nothing_left_says_why_and_leaves_no_folder(tmp_path, log, clean, match):
    with pytest.raises(DataError, match=match):
        ingest(pl.DataFrame(log), PLAIN, CleanConfig(**clean), tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_log(tmp_path):
    (tmp_path / "a.csv").write_text("user_id,item_id\n")
    with pytest.raises(DataError, match="no rows"):
        ingest(tmp_path / "a.csv", PLAIN, KEEP_ALL, tmp_path / "log")
    with pytest.raises(UsageError, match="no ingested log"):
        load_log(tmp_path / "log")


def test_mixed_units_are_refused_and_leave_no_folder(tmp_path):
    log = pl.DataFrame(
        {USER_ID: ["a", "b"], ITEM_ID: ["x", "y"], TIME: [1_600_000_000, 1_600_000_000_000]}
    )
    with pytest.raises(DataError, match="mixes units"):
        ingest(log, PLAIN, KEEP_ALL, tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_one_user_and_one_item(tmp_path):
    report = ingest(
        pl.DataFrame({USER_ID: ["a"], ITEM_ID: ["x"]}), PLAIN, KEEP_ALL, tmp_path / "log"
    )
    assert (report.users, report.items, report.rows_kept, report.first_time) == (1, 1, 1, None)


def test_a_failed_run_leaves_the_folder_of_the_last_one(tmp_path):
    good = communities().log
    ingest(good, PLAIN, KEEP_ALL, tmp_path / "log")
    before = content_sha256(tmp_path / "log")
    with pytest.raises(DataError):
        ingest(good, PLAIN, CleanConfig(min_user_interactions=10_000), tmp_path / "log")
    assert content_sha256(tmp_path / "log") == before
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], check=False
    )
    if not made or made.returncode:
        pytest.skip("mounting a tmpfs is refused here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_named_and_nothing_is_left(small_disk):
    with pytest.raises(MachineError, match="No space left"):
        ingest(communities(num_users=2000).log, PLAIN, KEEP_ALL, small_disk / "log")
    assert list(small_disk.iterdir()) == []


def test_one_heavy_user_leaves_other_buckets_empty(tmp_path):
    log = pl.DataFrame({USER_ID: ["a"] * 50 + ["b"], ITEM_ID: [f"i{n}" for n in range(51)]})
    ingest(log, PLAIN, KEEP_ALL, tmp_path / "log", buckets=8)
    assert len(load_log(tmp_path / "log").rows.collect()) == 51


def test_provisional_codes_are_not_forgotten_between_batches(tmp_path):
    spill = Spill(tmp_path)
    for ids in (["b", "a"], ["a", "c"]):
        reason = pl.Series(REASON, [KEPT] * 2, dtype=REASON_TYPE)
        spill.add(pl.DataFrame({USER_ID: ids, ITEM_ID: ids}).with_columns(reason))
    assert spill.users.ids().to_list() == ["b", "a", "c"]
    assert spill.counts.tolist() == [1, 2, 1]
