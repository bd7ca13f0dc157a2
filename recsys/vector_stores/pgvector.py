"""PostgreSQL with pgvector: a table for each version, a view for applications."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from recsys.core.arrays import Float32Array
from recsys.core.errors import MachineError
from recsys.core.tables import AVAILABLE
from recsys.vector_stores.rows import ID_COLUMNS, Changes, Kind, Rows
from recsys.vector_stores.store import (
    BUILD_ENTRIES,
    CONNECTIONS,
    ENTRIES_LOOKED_AT,
    IndexKind,
    Live,
    is_of,
    table_name,
)

_WIDEST_INDEX = 2_000  # of an index over `vector`
_MOST_ENTRIES = 1_000  # of hnsw.ef_search


class PgVector:
    """Tables have the id, `available`, `attributes` (jsonb) and `vector`; the state is the comment of
    the view of items.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (psycopg.Error,)

    def __init__(self, url: str, name: str) -> None:
        """url: postgresql://…, or empty for libpq's variables (PGHOST, PGDATABASE, …)."""
        self.name = name
        self.place = "PostgreSQL"
        self._connection = psycopg.connect(url, autocommit=True)
        self.place = f"PostgreSQL {self._connection.info.host}/{self._connection.info.dbname}"

    def live(self) -> Live | None:
        query = "SELECT obj_description(to_regclass(%s), 'pg_class')"
        comment = self._one(query, [f'"{self._view("items")}"'])
        return Live(**json.loads(comment)) if comment else None

    def tables(self) -> list[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        rows = self._connection.execute(query).fetchall()
        return sorted(table for (table,) in rows if is_of(self.name, table))

    def write(self, table: str, rows: Rows, index: IndexKind) -> None:
        self._require_extension()
        columns = sql.SQL(
            "CREATE TABLE {} ({} text PRIMARY KEY, available boolean NOT NULL, "
            "attributes jsonb NOT NULL, vector vector({}) NOT NULL)"
        )
        names = (sql.Identifier(table), sql.Identifier(rows.id_column), sql.Literal(rows.width))
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(columns.format(*names))
            with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(names[0])) as copy:
                for batch in rows.batches():
                    for values in _table_rows(batch):
                        copy.write_row(values)
        if index == "hnsw":
            self._build_index(table, rows)
        self._connection.execute(sql.SQL("ANALYZE {}").format(names[0]))

    def _build_index(self, table: str, rows: Rows) -> None:
        if rows.width > _WIDEST_INDEX:
            raise MachineError(
                f"vectors are {rows.width} wide, pgvector indexes {_WIDEST_INDEX} at most",
                "Export with --index flat, or train a narrower model",
            )
        # Withdrawn items are no part of it, so that a filter on `available` costs no recall.
        statement = sql.SQL(
            "CREATE INDEX ON {} USING hnsw (vector vector_ip_ops) "
            "WITH (m = {}, ef_construction = {}) WHERE available"
        )
        sizes = (sql.Literal(CONNECTIONS), sql.Literal(BUILD_ENTRIES))
        self._connection.execute(statement.format(sql.Identifier(table), *sizes))

    def search(self, table: str, queries: Float32Array, k: int) -> list[list[str]]:
        kind: Kind = "items" if table.startswith(f"{self.name}_items") else "users"
        statement = sql.SQL(
            "SELECT {} FROM {} WHERE available ORDER BY vector <#> %s::vector LIMIT %s"
        ).format(sql.Identifier(ID_COLUMNS[kind]), sql.Identifier(table))
        looked_at = min(max(ENTRIES_LOOKED_AT, k), _MOST_ENTRIES)
        with self._connection.transaction():
            self._connection.execute(f"SET LOCAL hnsw.ef_search = {looked_at:d}")
            lists = []
            for query in queries:
                rows = self._connection.execute(statement, [_vector(query), k]).fetchall()
                lists.append([external for (external,) in rows])
        return lists

    def switch(self, version: str, kinds: Sequence[Kind], bundle: str) -> None:
        with self._connection.transaction():
            for kind in kinds:
                # Columns never differ, so that the view is replaced in place: grants stay.
                statement = sql.SQL(
                    "CREATE OR REPLACE VIEW {} AS "
                    "SELECT {}, available, attributes, vector::vector AS vector FROM {}"
                )
                view = sql.Identifier(self._view(kind))
                table = sql.Identifier(table_name(self.name, kind, version))
                id_column = sql.Identifier(ID_COLUMNS[kind])
                self._connection.execute(statement.format(view, id_column, table))
            self._remember(Live(version, bundle))

    def change(self, live: Live, changes: Sequence[Changes], bundle: str) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for changed in changes:
                rows = changed.upserts
                names = {
                    "table": sql.Identifier(table_name(self.name, rows.kind, live.version)),
                    "id": sql.Identifier(rows.id_column),
                }
                upsert = sql.SQL(
                    "INSERT INTO {table} VALUES (%s, %s, %s, %s) ON CONFLICT ({id}) DO UPDATE SET "
                    "available = EXCLUDED.available, attributes = EXCLUDED.attributes, "
                    "vector = EXCLUDED.vector"
                ).format(**names)
                for batch in rows.batches():
                    cursor.executemany(upsert, _table_rows(batch))
                delete = sql.SQL("DELETE FROM {table} WHERE {id} = ANY(%s)").format(**names)
                cursor.execute(delete, [changed.gone])
            self._remember(Live(live.version, bundle))

    def drop(self, table: str) -> None:
        self._connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table)))

    def close(self) -> None:
        self._connection.close()

    def _view(self, kind: Kind) -> str:
        return f"{self.name}_{kind}"

    def _remember(self, live: Live) -> None:
        comment = json.dumps({"version": live.version, "bundle": live.bundle})
        statement = sql.SQL("COMMENT ON VIEW {} IS {}")
        view = sql.Identifier(self._view("items"))
        self._connection.execute(statement.format(view, sql.Literal(comment)))

    def _require_extension(self) -> None:
        """Raises MachineError where pgvector is neither there nor to be had."""
        if self._one("SELECT 1 FROM pg_extension WHERE extname = 'vector'", []):
            return
        try:
            self._connection.execute("CREATE EXTENSION vector")
        except psycopg.Error as error:
            raise MachineError(
                f"{self.place} has no extension vector: {error.diag.message_primary}",
                "Install pgvector, and let a superuser run: CREATE EXTENSION vector",
            ) from None

    def _one(self, query: str, values: list[Any]) -> Any:
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]


def _table_rows(rows: Rows) -> list[tuple[Any, ...]]:
    """In the order of the columns of a table."""
    table_rows = []
    for payload, vector in zip(rows.payloads(), rows.vectors, strict=True):
        external = payload.pop(rows.id_column)
        available = payload.pop(AVAILABLE, True)
        table_rows.append((external, available, Jsonb(payload), _vector(vector)))
    return table_rows


def _vector(values: Float32Array) -> str:
    """As pgvector reads it: the shortest text of each number, which is exact."""
    return "[" + ",".join(str(value) for value in values) + "]"
