"""One log, written in every form in which teams keep theirs."""

import os
import sqlite3
from pathlib import Path

import polars as pl


def write_csv(log: pl.DataFrame, folder: Path) -> str:
    log.write_csv(folder / "log.csv")
    return str(folder / "log.csv")


def write_parquet(log: pl.DataFrame, folder: Path) -> str:
    log.write_parquet(folder / "log.parquet")
    return str(folder / "log.parquet")


def write_orc(log: pl.DataFrame, folder: Path) -> str:
    from pyarrow import orc

    table = log.to_arrow(compat_level=pl.CompatLevel.oldest())
    orc.write_table(table, folder / "log.orc", stripe_size=4096)
    return str(folder / "log.orc")


def write_avro(log: pl.DataFrame, folder: Path) -> str:
    log.write_avro(folder / "log.avro")
    return str(folder / "log.avro")


def write_delta(log: pl.DataFrame, folder: Path) -> str:
    """In two versions, the second with the second half."""
    half = len(log) // 2
    table = str(folder / "delta")
    log[:half].write_delta(table)
    log[half:].write_delta(table, mode="append")
    return table


def write_iceberg(log: pl.DataFrame, warehouse: str, catalog: Path) -> str:
    """The folder of a table in a warehouse, which may be a URL."""
    from pyiceberg.catalog.sql import SqlCatalog

    catalog_uri = f"sqlite:///{catalog / 'catalog.db'}"
    endpoint = {"s3.endpoint": os.environ.get("AWS_ENDPOINT_URL", ""), "s3.region": "us-east-1"}
    tables = SqlCatalog("shop", uri=catalog_uri, warehouse=warehouse, **endpoint)
    tables.create_namespace("shop")
    rows = log.to_arrow(compat_level=pl.CompatLevel.oldest())
    table = tables.create_table("shop.events", rows.schema)
    half = rows.num_rows // 2
    table.append(rows[:half])
    table.append(rows[half:])
    location = str(table.location())
    tables.close()
    return location.removeprefix("file://")


def write_duckdb(log: pl.DataFrame, folder: Path) -> str:
    import duckdb

    rows = log.to_arrow()
    with duckdb.connect(folder / "shop.duckdb") as connection:
        connection.register("rows", rows)
        connection.execute("CREATE TABLE events AS SELECT * FROM rows")
    return str(folder / "shop.duckdb")


def write_sqlite(log: pl.DataFrame, folder: Path) -> str:
    columns = ", ".join(log.columns)
    marks = ", ".join("?" * len(log.columns))
    with sqlite3.connect(folder / "shop.sqlite") as connection:
        connection.execute(f"CREATE TABLE events ({columns})")
        connection.executemany(f"INSERT INTO events VALUES ({marks})", log.rows())
    connection.close()
    return str(folder / "shop.sqlite")


def write_postgres(log: pl.DataFrame, url: str) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        rows = log.to_arrow(compat_level=pl.CompatLevel.oldest())
        cursor.adbc_ingest("events", rows, mode="create")
        connection.commit()


def write_mariadb(log: pl.DataFrame, url: str) -> None:
    from urllib.parse import unquote, urlsplit

    import pymysql

    parts = urlsplit(url)
    kinds = {pl.Int64: "BIGINT", pl.Float64: "DOUBLE", pl.Datetime: "DATETIME"}
    columns = []
    for name, kind in log.schema.items():
        columns.append(f"{name} {kinds.get(kind.base_type(), 'VARCHAR(200)')}")
    marks = ", ".join(["%s"] * log.width)
    with pymysql.connect(
        host=parts.hostname,
        port=int(parts.port or 3306),
        user=parts.username,
        password=unquote(parts.password or ""),
        database=parts.path[1:],
    ) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE events ({', '.join(columns)})")
            cursor.executemany(f"INSERT INTO events VALUES ({marks})", log.rows())
        connection.commit()
