"""Queries with :since: what a run asks for and what it keeps, against asking for everything."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from databases import mariadb, postgres
from log_copies import write_mariadb, write_postgres
from recsys.core.artefacts import content_sha256
from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import ConfigError
from recsys.logs.ingest import ingest
from recsys.logs.queries import log_of
from recsys.logs.since import cut_of

T0 = 1_600_000_000
DAY = 86_400
QUERY = "SELECT * FROM events WHERE timestamp >= :since ORDER BY timestamp, user_id, item_id"
EVERYTHING = "SELECT * FROM events ORDER BY timestamp, user_id, item_id"

Row = tuple[str, str, int]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))


class Said:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.facts: list[dict[str, object]] = []

    def say(self, message: str, **fields: object) -> None:
        self.lines.append(message)
        self.facts.append(fields)

    def track(self, things: Any, label: str, total: int | None = None) -> Any:
        return iter(things)


def tables(out: Path, said: Said | None = None, **data: object) -> dict[str, str]:
    """Ingest what `data` names; hashes of the tables that it leaves."""
    config = DataConfig(**data)
    with log_of(config, said or Said()) as source:
        ingest(source, config, CleanConfig(), out)
    return {path.name: content_sha256(path) for path in sorted(out.rglob("*.parquet"))}


def write(path: Path, rows: list[Row]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE IF EXISTS events")
        connection.execute("CREATE TABLE events (user_id TEXT, item_id TEXT, timestamp INTEGER)")
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)


def user_item(number: int) -> tuple[str, str]:
    return f"u{number % 5}", f"i{number % 7}"


@given(
    batches=st.lists(st.lists(st.integers(0, 40 * DAY), max_size=8), min_size=1, max_size=4),
    late=st.lists(st.integers(1, 2 * DAY - 1), max_size=3),
)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_rows_that_are_kept_and_new_ones_are_those_of_the_whole_query(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], late: list[int]
) -> None:
    """Batches come in the order of time, but for rows that are late by less than `since_days`."""
    folder = tmp_path_factory.mktemp("since")
    os.environ["RECSYS_CACHE"] = str(folder / "cache")
    database = str(folder / "shop.sqlite")
    rows: list[Row] = [("first", "i0", T0)]
    end = T0
    for batch in batches:
        for number, seconds in enumerate(batch):
            rows.append((*user_item(number + seconds), end + seconds))
        end = max(moment for *_, moment in rows)
        for number, seconds in enumerate(late):
            rows.append((*user_item(number), max(T0, end - seconds)))
        write(Path(database), rows)
        kept = tables(folder / "kept", database=database, query=QUERY, since=0, since_days=2)
        assert kept == tables(folder / "whole", database=database, query=EVERYTHING)


def test_a_run_says_what_was_new_and_what_was_kept(tmp_path: Path) -> None:
    database = tmp_path / "shop.sqlite"
    rows = [("u1", "i1", T0), ("u2", "i1", T0 + 10 * DAY), ("u2", "i2", T0 + 10 * DAY)]
    write(database, rows)
    data = {"database": str(database), "query": QUERY, "since": 0}
    said = Said()
    tables(tmp_path / "out", said, **data)
    what = f"the query of {database}"
    assert said.lines[0] == f"{what} returned 3 rows since 0; 0 of before are kept"
    # One comes, one is corrected, one of long ago goes: of what was kept nothing is known anew.
    write(database, [("u3", "i1", T0 + 10 * DAY), rows[2], ("u9", "i1", T0 + 12 * DAY)])
    said = Said()
    tables(tmp_path / "out", said, **data)
    since = T0 + 9 * DAY
    assert said.lines[0] == f"{what} returned 3 rows since {since}; 1 of before are kept"
    assert said.facts[0] == {"rows": 3, "kept": 1}
    users = pl.read_parquet(tmp_path / "out" / "users.parquet")["user_id"].to_list()
    assert users == ["u1", "u2", "u3", "u9"]


def test_a_night_without_new_rows_is_none_without_rows(tmp_path: Path) -> None:
    database = tmp_path / "shop.sqlite"
    write(database, [("u1", "i1", T0), ("u2", "i1", T0 + 10 * DAY)])
    data = {"database": str(database), "query": QUERY.replace(">=", ">"), "since": 0}
    first = tables(tmp_path / "out", **data)
    write(database, [])
    said = Said()
    again = tables(tmp_path / "out", said, **data)
    assert "returned 0 rows" in said.lines[0] and "1 of before are kept" in said.lines[0]
    assert set(again) == set(first)


def test_other_columns_are_asked_for_from_the_beginning(tmp_path: Path) -> None:
    database = tmp_path / "shop.sqlite"
    write(database, [("u1", "i1", T0), ("u2", "i1", T0 + 10 * DAY)])
    data = {"database": str(database), "query": QUERY, "since": 0}
    tables(tmp_path / "out", **data)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("ALTER TABLE events ADD COLUMN behavior TEXT DEFAULT 'buy'")
    said = Said()
    kept = tables(tmp_path / "out", said, **data)
    assert "other columns than before" in said.lines[0]
    assert "returned 2 rows since 0; 0 of before are kept" in said.lines[1]
    assert kept == tables(tmp_path / "whole", database=str(database), query=EVERYTHING)


def test_another_query_or_database_keeps_rows_of_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.sqlite", [(name, "i1", T0)])
        data = {"database": str(tmp_path / f"{name}.sqlite"), "query": QUERY, "since": 0}
        tables(tmp_path / "out", **data)
        users = pl.read_parquet(tmp_path / "out" / "users.parquet")["user_id"].to_list()
        assert users == [name]


def moments(log: pl.DataFrame) -> pl.DataFrame:
    return log.with_columns(pl.from_epoch("timestamp", "s"))


LOG = pl.DataFrame(
    {
        "user_id": [f"u{number % 6}" for number in range(60)],
        "item_id": [f"i{number % 11}" for number in range(60)],
        "timestamp": [T0 + number * DAY // 3 for number in range(60)],
    }
)


SERVERS = [
    (postgres, write_postgres, "CAST(:since AS timestamp)"),
    (mariadb, write_mariadb, ":since"),
]


@pytest.mark.parametrize(("server", "fill", "cast"), SERVERS)
def test_servers_compare_with_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Any, fill: Any, cast: str
) -> None:
    query = (
        f"SELECT * FROM events WHERE timestamp >= {cast} AND item_id LIKE '%i%' ORDER BY timestamp"
    )
    with server() as url:
        fill(moments(LOG), url)
        monkeypatch.setenv("SHOP_DB", url)
        data = {"connection_env": "SHOP_DB", "query": query, "since": "2020-01-01"}
        first, said = tables(tmp_path / "first", **data), Said()
        assert tables(tmp_path / "second", said, **data) == first
        whole = "SELECT * FROM events ORDER BY timestamp"
        assert tables(tmp_path / "whole", connection_env="SHOP_DB", query=whole) == first
    assert "returned 4 rows since 2020-10-02 04:26:40; 56 of before are kept" in said.lines[0]


def test_duckdb_compares_with_since(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    rows = moments(LOG).to_arrow()  # noqa: F841  duckdb reads it by its name
    with duckdb.connect(tmp_path / "shop.duckdb") as connection:
        connection.execute("CREATE TABLE events AS SELECT * FROM rows")
    query = "SELECT * FROM events WHERE timestamp >= CAST(:since AS timestamp) ORDER BY timestamp"
    data = {"database": str(tmp_path / "shop.duckdb"), "query": query, "since": "2020-01-01"}
    first, said = tables(tmp_path / "first", **data), Said()
    assert tables(tmp_path / "second", said, **data) == first
    assert "returned 4 rows" in said.lines[0] and "56 of before are kept" in said.lines[0]


LAST = datetime(2020, 10, 3, 4, 26, 40, tzinfo=UTC)
FORMS: list[tuple[Callable[[datetime], object], object]] = [
    (lambda moment: int(moment.timestamp()), 1601612800),
    (lambda moment: int(moment.timestamp() * 1000), 1601612800000),
    (lambda moment: moment, "2020-10-02 04:26:40+00:00"),
    (lambda moment: moment.replace(tzinfo=None), "2020-10-02 04:26:40"),
    (lambda moment: moment.date(), "2020-10-02"),
    (lambda moment: moment.strftime("%Y-%m-%d"), "2020-10-02"),
    (lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "2020-10-02T04:26:40"),
    (lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S"), "2020-10-02 04:26:40"),
    (lambda moment: str(int(moment.timestamp())), 1601612800),
]


@pytest.mark.parametrize(("form", "since"), FORMS)
def test_since_has_the_form_of_the_column(form: Any, since: object) -> None:
    values = [form(LAST - timedelta(days=days)) for days in (5, 2, 0)]
    cut = cut_of(pl.DataFrame({"at": values}).lazy(), DataConfig(time_col="at"))
    assert cut is not None and cut.since == since


def test_an_order_is_asked_for_from_its_last_number() -> None:
    cut = cut_of(pl.DataFrame({"no": [1, 2, 9]}).lazy(), DataConfig(time_col="no"))
    assert cut is not None and cut.since == 9


def test_a_row_of_the_far_future_leaves_nothing_out() -> None:
    rows = pl.DataFrame({"at": [T0, 4_000_000_000]})
    cut = cut_of(rows.lazy(), DataConfig(time_col="at"))
    assert cut is not None and T0 < int(cut.since) < 4_000_000_000 - DAY
    assert rows.filter(cut.is_before)["at"].to_list() == [T0]


@pytest.mark.parametrize(
    "values", [["2020-10-03T04:26:40+02:00"], [date(2020, 1, 1).strftime("%Y%m%d")]]
)
def test_times_that_cannot_be_compared_are_refused(values: list[str]) -> None:
    with pytest.raises(ConfigError, match="cannot be compared with :since"):
        cut_of(pl.DataFrame({"at": values}).lazy(), DataConfig(time_col="at"))


def test_half_a_since_is_refused(tmp_path: Path) -> None:
    database = str(tmp_path / "shop.sqlite")
    write(Path(database), [("u1", "i1", T0)])
    with pytest.raises(ConfigError, match="go together"):
        tables(tmp_path / "out", database=database, query=QUERY)
    with pytest.raises(ConfigError, match="go together"):
        tables(tmp_path / "out", database=database, query=EVERYTHING, since=0)
    renamed = "SELECT user_id, item_id, timestamp AS at FROM events WHERE timestamp >= :since"
    tables(tmp_path / "out", database=database, query=renamed, since=0)
    with pytest.raises(ConfigError, match="no column 'timestamp'"):
        tables(tmp_path / "out", database=database, query=renamed, since=0)
