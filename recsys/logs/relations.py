"""Files of edges (`[[graph.relations]]`): read once, in the codes of an ingested log, with a reason for every row lost."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from recsys.core.artefacts import read_json, write_json
from recsys.core.config import DataConfig, GraphConfig, RelationConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.errors import DataError, nearest
from recsys.core.ids import IdMap
from recsys.core.tables import DESTINATION, ITEM, ITEM_ID, SOURCE, TIME, USER, USER_ID, WEIGHT, Drops
from recsys.logs.clean import facts
from recsys.logs.ingest import CodedLog
from recsys.logs.read import scan_log
from recsys.logs.reasons import ITEM_MISSING, USER_MISSING
from recsys.logs.sources import TextOptions, open_parts
from recsys.logs.text import BROKEN

_DOCUMENT = "relations.json"
_CODE = "code"


def read_relations(graph: GraphConfig, data: DataConfig, log: CodedLog) -> list[EdgeRows]:
    """Every relation that `graph` names. data: how text is read. Raises DataError for a file that cannot be used."""
    return [read_relation(one, data, log) for one in graph.relations]


def read_relation(config: RelationConfig, data: DataConfig, log: CodedLog) -> EdgeRows:
    """One file of edges. Drops count rows without an end, ids that the log does not have, self-loops and repeats."""
    columns = config.columns or _first_two(config)
    rows, drops = read_pairs(config, columns, data)
    rows_read = len(rows) + drops.total()
    for column, end in zip((SOURCE, DESTINATION), config.ends, strict=True):
        rows, lost = _coded(rows, column, end, log)
        drops += lost
    if config.ends[0] == config.ends[1]:
        rows, drops = _without(rows, pl.col(SOURCE) == pl.col(DESTINATION), "self-loop", drops)
    rows, drops = _once(rows, config.repeats, drops)
    named = Drops({f"{config.name}: {reason}": count for reason, count in drops.items()})
    return EdgeRows(config.name, config.ends, rows, config.directed, config.half_life_days, rows_read, named)


def save_relations(relations: Iterable[EdgeRows], folder: Path) -> None:
    """Write relations.json and a numbered Parquet file for each relation into `folder`."""
    documents = []
    for place, relation in enumerate(relations):
        relation.rows.write_parquet(folder / f"{place}.parquet")
        scalars = {key: value for key, value in vars(relation).items() if key not in ("rows", "drops")}
        documents.append({**scalars, "drops": facts(relation.drops)})
    write_json(folder / _DOCUMENT, documents)


def load_relations(folder: Path) -> list[EdgeRows]:
    """What `save_relations` wrote."""
    return [
        EdgeRows(
            **{
                **document,
                "ends": tuple(document["ends"]),
                "drops": Drops(document["drops"]),
                "rows": pl.read_parquet(folder / f"{place}.parquet"),
            }
        )
        for place, document in enumerate(read_json(folder / _DOCUMENT))
    ]


def read_pairs(config: RelationConfig, columns: tuple[str, str], data: DataConfig) -> tuple[pl.DataFrame, Drops]:
    """SOURCE and DESTINATION as text, WEIGHT and TIME where asked for, and rows that cannot be used."""
    _require(config, *columns, *(one for one in (config.weight_col, config.time_col) if one))
    as_log = {
        "user_col": columns[0],
        "item_col": columns[1],
        "weight_col": config.weight_col or "",
        "time_col": config.time_col or "",
        "behavior_col": "",
        "rating_col": "",
        "columns": None,
        "separator": None,
    }
    rows, drops = scan_log(config.file, data.model_copy(update=as_log)).collect()
    missing = dict(zip((USER_MISSING, ITEM_MISSING), (f"{column} missing" for column in columns), strict=True))
    drops = Drops({missing.get(reason, reason): count for reason, count in drops.items()})
    return rows.rename({USER_ID: SOURCE, ITEM_ID: DESTINATION}), drops


def _first_two(config: RelationConfig) -> tuple[str, str]:
    found = _columns(config)
    if len(found) < 2:
        raise DataError(
            f"the file {config.file!r} of the relation {config.name!r} has the columns {found}",
            "It needs one for each end",
        )
    return found[0], found[1]


def _columns(config: RelationConfig) -> list[str]:
    part = open_parts(config.file, TextOptions())[0]
    return [name for name in part.columns if name != BROKEN]


def _require(config: RelationConfig, *wanted: str) -> None:
    found = _columns(config)
    for column in wanted:
        if column not in found:
            raise DataError(
                f"the file {config.file!r} of the relation {config.name!r} has no column {column!r}; it has {found}",
                nearest(column, found) or "Name the right one under [[graph.relations]]",
            )


def _coded(rows: pl.DataFrame, column: str, end: str, log: CodedLog) -> tuple[pl.DataFrame, Drops]:
    """With codes in place of the ids of users and items, or trimmed text of other nodes."""
    if end not in (USER, ITEM):
        trimmed = rows.with_columns(pl.col(column).str.strip_chars())
        return _without(trimmed, pl.col(column) == "", f"empty {end}", Drops())
    known: IdMap = log.users if end == USER else log.items
    codes = pl.DataFrame({column: known.ids, _CODE: pl.arange(len(known), dtype=pl.Int32, eager=True)})
    found = rows.join(codes, on=column, how="left", maintain_order="left")
    found, drops = _without(found, pl.col(_CODE).is_null(), f"unknown {end}", Drops())
    return found.with_columns(pl.col(_CODE).alias(column)).drop(_CODE), drops


def _once(rows: pl.DataFrame, repeats: str, drops: Drops) -> tuple[pl.DataFrame, Drops]:
    """Every pair once: the latest time, and the largest weight or the sum of the weights (of the rows without one)."""
    if repeats == "sum" and WEIGHT not in rows.columns:
        rows = rows.with_columns(pl.lit(1.0, dtype=pl.Float32).alias(WEIGHT))
    weight = pl.col(WEIGHT).cast(pl.Float64).sum().cast(pl.Float32) if repeats == "sum" else pl.col(WEIGHT).max()
    merged = [weight] * (WEIGHT in rows.columns) + [pl.col(TIME).max()] * (TIME in rows.columns)
    kept = rows.group_by(SOURCE, DESTINATION).agg(merged).sort(SOURCE, DESTINATION)
    return kept, +(drops + Drops({"repeated": len(rows) - len(kept)}))


def _without(rows: pl.DataFrame, test: pl.Expr, reason: str, drops: Drops) -> tuple[pl.DataFrame, Drops]:
    kept = rows.filter(~test)
    return kept, drops + Drops({reason: len(rows) - len(kept)})
