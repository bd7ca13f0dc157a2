"""One log in every form in which teams keep theirs: the same cleaned rows, byte for byte.

What comes after ingest is a function of these files alone; `tests/pipelines/test_log_forms_run.py` has
the bundles.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from databases import PASSWORD, URL_PASSWORD, mariadb, postgres
from log_copies import (
    write_avro,
    write_csv,
    write_delta,
    write_duckdb,
    write_iceberg,
    write_mariadb,
    write_orc,
    write_parquet,
    write_postgres,
    write_sqlite,
)
from object_stores import put
from recsys.core.artefacts import content_sha256, read_json
from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import ConfigError, DataError, MachineError
from recsys.logs.ingest import ingest
from recsys.logs.queries import log_of
from recsys.logs.synthetic import communities
from recsys.storage.store import Store

QUERY = "SELECT * FROM events"


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return communities(num_users=30, num_items=20, events_per_user=8, seed=3).log


@pytest.fixture
def cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Ingest what `data` names; hashes of the tables that it leaves, by name."""
    if "RECSYS_CACHE" not in os.environ:
        monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))

    def run(**data: object) -> dict[str, str]:
        config = DataConfig(time_col="timestamp", **data)
        out = tmp_path / "ingested"
        with log_of(config) as source:
            ingest(source, config, CleanConfig(), out)
        return {path.name: content_sha256(path) for path in sorted(out.rglob("*.parquet"))}

    return run


@pytest.fixture(scope="module")
def database(log: pl.DataFrame) -> Iterator[str]:
    """The URL of a PostgreSQL database with the log as a table."""
    with postgres() as address:
        write_postgres(log, address)
        yield address


@pytest.mark.parametrize("write", [write_csv, write_orc, write_avro, write_delta])
def test_files_and_tables_hold_the_same_log(log, cleaned, tmp_path, write) -> None:
    if write is write_delta:
        pytest.importorskip("deltalake")
    expected = cleaned(log=write_parquet(log, tmp_path))
    assert len(expected) == 3
    assert cleaned(log=write(log, tmp_path)) == expected


def test_an_iceberg_table_holds_the_same_log(log, cleaned, tmp_path) -> None:
    pytest.importorskip("pyiceberg")
    table = write_iceberg(log, f"file://{tmp_path}/warehouse", tmp_path)
    assert cleaned(log=table) == cleaned(log=write_parquet(log, tmp_path))


@pytest.mark.parametrize("write", [write_duckdb, write_sqlite])
def test_files_of_databases_hold_the_same_log(log, cleaned, tmp_path, write) -> None:
    if write is write_duckdb:
        pytest.importorskip("duckdb")
    expected = cleaned(log=write_parquet(log, tmp_path))
    assert cleaned(database=write(log, tmp_path), query=QUERY) == expected
    (tmp_path / "again").mkdir()
    (tmp_path / "log.sql").write_text(f"{QUERY} -- of the shop\n")
    file = str(tmp_path / "log.sql")
    assert cleaned(database=write_sqlite(log, tmp_path / "again"), query_file=file) == expected


def test_postgres_holds_the_same_log(log, cleaned, tmp_path, database, monkeypatch) -> None:
    monkeypatch.setenv("SHOP_DB", database)
    assert cleaned(connection_env="SHOP_DB", query=QUERY) == cleaned(
        log=write_parquet(log, tmp_path)
    )
    facts = read_json(tmp_path / "ingested" / "ingest.json")
    assert facts["files"] == [write_parquet(log, tmp_path)]


def test_types_of_postgres_alone_are_read(cleaned, database, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SHOP_DB", database)
    query = """SELECT md5(user_id)::uuid AS user_id, item_id, to_timestamp(timestamp) AS timestamp,
        weight::numeric(8, 3) AS weight FROM events"""
    cleaned(connection_env="SHOP_DB", query=query)
    facts = read_json(tmp_path / "ingested" / "ingest.json")
    assert facts["rows_read"] == 240 and facts["users"] == 30
    assert set(facts["drops"]) == {"duplicate"}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (f"{QUERY} WHERE false", "the query of SHOP_DB returned no rows"),
        ("SELECT buyer FROM events", 'refuses the query: column "buyer" does not exist'),
        ("DELETE FROM events RETURNING *", "read-only transaction"),
        ("SELECT user_id, item_id AS thing FROM events", "item_id"),
    ],
)
def test_what_a_query_cannot_give_is_told_by_name(
    cleaned, database, monkeypatch, query, message
) -> None:
    monkeypatch.setenv("SHOP_DB", database)
    with pytest.raises((DataError, ConfigError), match=message):
        cleaned(connection_env="SHOP_DB", query=query)


def test_no_error_of_a_connection_tells_the_password(cleaned, database, monkeypatch) -> None:
    monkeypatch.setenv("SHOP_DB", database.replace("/postgres", "/no_such_database"))
    with pytest.raises(MachineError, match='"no_such_database" does not exist') as refused:
        cleaned(connection_env="SHOP_DB", query=QUERY)
    monkeypatch.setenv("SHOP_DB", f"postgresql://shop:{URL_PASSWORD}@127.0.0.1:1/postgres")
    with pytest.raises(MachineError, match=r"127\.0\.0\.1:1: Connection refused") as unreachable:
        cleaned(connection_env="SHOP_DB", query=QUERY)
    monkeypatch.setenv("SHOP_DB", f"oracle://shop:{URL_PASSWORD}@127.0.0.1/postgres")
    with pytest.raises(ConfigError, match="unknown kind") as unknown:
        cleaned(connection_env="SHOP_DB", query=QUERY)
    for caught in (refused, unreachable, unknown):
        assert PASSWORD not in str(caught.value) and URL_PASSWORD not in str(caught.value)


@pytest.fixture(scope="module")
def shop_of_mariadb(log: pl.DataFrame) -> Iterator[str]:
    """The URL of a MariaDB database with the log as a table."""
    with mariadb() as address:
        write_mariadb(log, address)
        yield address


def test_mariadb_holds_the_same_log(log, cleaned, tmp_path, shop_of_mariadb, monkeypatch) -> None:
    expected = cleaned(log=write_parquet(log, tmp_path))
    monkeypatch.setenv("SHOP_DB", shop_of_mariadb)
    assert cleaned(connection_env="SHOP_DB", query=QUERY) == expected
    of_other_types = """SELECT user_id, item_id, CAST(weight AS DECIMAL(9, 3)) AS weight, rating,
        DATE_ADD('1970-01-01', INTERVAL timestamp SECOND) AS timestamp, '50 %' AS note FROM events"""
    assert cleaned(connection_env="SHOP_DB", query=of_other_types) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (f"{QUERY} WHERE false", "the query of SHOP_DB returned no rows"),
        ("SELECT buyer FROM events", "refuses the query: Unknown column 'buyer'"),
        ("DELETE FROM events", "READ ONLY transaction"),
        ("SET @a = 1", "none that returns rows"),
    ],
)
def test_what_a_query_of_mariadb_cannot_give_is_told(
    cleaned, shop_of_mariadb, monkeypatch, query, message
) -> None:
    monkeypatch.setenv("SHOP_DB", shop_of_mariadb)
    with pytest.raises((DataError, ConfigError), match=message):
        cleaned(connection_env="SHOP_DB", query=query)


def test_no_error_of_mariadb_tells_the_password(cleaned, shop_of_mariadb, monkeypatch) -> None:
    caught = []
    for before, after, message in (
        ("/shop", "/no_such_database", "no_such_database"),
        (URL_PASSWORD, "another%40password", "Access denied"),
        (shop_of_mariadb.rpartition(":")[2], "1/shop", "127.0.0.1:1"),
    ):
        monkeypatch.setenv("SHOP_DB", shop_of_mariadb.replace(before, after))
        with pytest.raises(MachineError, match=message) as refused:
            cleaned(connection_env="SHOP_DB", query=QUERY)
        caught.append(str(refused.value))
    for text in caught:
        assert PASSWORD not in text and URL_PASSWORD not in text and "another" not in text


def test_half_a_query_is_refused(cleaned, tmp_path) -> None:
    with pytest.raises(ConfigError, match="asked of one database"):
        cleaned(query=QUERY)
    with pytest.raises(ConfigError, match="names two logs"):
        cleaned(query=QUERY, log="log.csv", database="shop.sqlite")
    with pytest.raises(MachineError, match="variable SHOP_DB_OF_NOBODY is not set"):
        cleaned(query=QUERY, connection_env="SHOP_DB_OF_NOBODY")
    with pytest.raises(DataError, match="there is no database file"):
        cleaned(query=QUERY, database=str(tmp_path / "none.duckdb"))
    (tmp_path / "text.db").write_text("user,item")
    with pytest.raises(DataError, match="no file of DuckDB or SQLite"):
        cleaned(query=QUERY, database=str(tmp_path / "text.db"))


def test_columns_of_sqlite_may_hold_values_of_several_types(cleaned, tmp_path) -> None:
    rows = pl.DataFrame(
        {"user_id": ["1", "2"], "item_id": ["a", "b"], "timestamp": [1_600_000_000, 1_600_000_100]}
    )
    path = write_sqlite(rows, tmp_path)
    mixed = "SELECT 1 AS user_id, 'a' AS item_id, 1600000000 AS timestamp UNION ALL SELECT '2', 'b', '1600000100'"
    assert cleaned(database=path, query=mixed) == cleaned(database=path, query=QUERY)


def test_object_storage_holds_the_same_log(log, cleaned, tmp_path, url) -> None:
    expected = cleaned(log=write_parquet(log, tmp_path))
    write_csv(log, tmp_path)
    half = len(log) // 2
    log[:half].write_parquet(tmp_path / "first")
    log[half:].write_parquet(tmp_path / "second")
    files = {
        "log.csv": (tmp_path / "log.csv").read_bytes(),
        "days/day=1/part.parquet": (tmp_path / "first").read_bytes(),
        "days/day=2/part.parquet": (tmp_path / "second").read_bytes(),
        "days/_SUCCESS": b"",
    }
    put(Store(url), files, tmp_path)
    assert cleaned(log=f"{url}/log.csv") == expected
    assert cleaned(log=f"{url}/days") == expected
    assert cleaned(log=f"{url}/days/day=*/*.parquet") == expected
    assert read_json(tmp_path / "ingested" / "ingest.json")["files"] == [
        f"{url}/days/day=1/part.parquet",
        f"{url}/days/day=2/part.parquet",
    ]


def test_tables_in_object_storage_hold_the_same_log(log, cleaned, tmp_path, url) -> None:
    pytest.importorskip("deltalake")
    pytest.importorskip("pyiceberg")
    expected = cleaned(log=write_parquet(log, tmp_path))
    table = Path(write_delta(log, tmp_path))
    files = {}
    for path in table.rglob("*"):
        if path.is_file():
            files[f"delta/{path.relative_to(table).as_posix()}"] = path.read_bytes()
    put(Store(url), files, tmp_path)
    assert cleaned(log=f"{url}/delta") == expected
    assert cleaned(log=write_iceberg(log, f"{url}/warehouse", tmp_path)) == expected


def test_messages_name_the_url_of_a_broken_file(cleaned, tmp_path, url) -> None:
    put(Store(url), {"log.parquet": b"PAR1 and nothing else"}, tmp_path)
    with pytest.raises(DataError) as caught:
        cleaned(log=f"{url}/log.parquet")
    assert f"{url}/log.parquet" in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_a_damaged_table_is_told(cleaned, tmp_path) -> None:
    pytest.importorskip("deltalake")
    rows = pl.DataFrame({"user_id": ["1"], "item_id": ["a"], "timestamp": [1_600_000_000]})
    table = Path(write_delta(pl.concat([rows, rows]), tmp_path))
    for path in table.glob("*.parquet"):
        path.unlink()
    with pytest.raises(DataError, match="cannot read"):
        cleaned(log=str(table))
