"""Files of edges (`[[graph.relations]]`, `[[graph.knowledge]]`): read once, in the codes of an
ingested log.
"""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from recsys.core.artefacts import read_json, write_json
from recsys.core.config import DataConfig, GraphConfig, RelationConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.table_files import read_parquet
from recsys.core.tables import DESTINATION, SOURCE, Drops
from recsys.logs.clean import facts
from recsys.logs.edge_files import coded, columns_of, named, once, read_edges, without
from recsys.logs.ingest import CodedLog
from recsys.logs.knowledge import read_knowledge

_DOCUMENT = "relations.json"


def read_relations(graph: GraphConfig, data: DataConfig, log: CodedLog) -> list[EdgeRows]:
    """Every relation that `graph` names. data: how text is read. Raises DataError for a file that
    cannot be used.
    """
    relations = [read_relation(config, data, log) for config in graph.relations]
    for config in graph.knowledge:
        relations.extend(read_knowledge(config, data, log))
    return relations


def read_relation(config: RelationConfig, data: DataConfig, log: CodedLog) -> EdgeRows:
    """One file of edges. Drops count rows without an end, ids that the log does not have,
    self-loops and repeats.
    """
    first, second = config.columns or columns_of(config.file, 2, config.name)
    roles = {"weight": config.weight_col, "time": config.time_col}
    rows, drops = read_edges(config.file, (first, second), config.name, data, **roles)
    rows_read = len(rows) + drops.total()
    for column, end in zip((SOURCE, DESTINATION), config.ends, strict=True):
        rows, lost = coded(rows, column, end, log)
        drops += lost
    if config.ends[0] == config.ends[1]:
        rows, lost = without(rows, pl.col(SOURCE) == pl.col(DESTINATION), "self-loop")
        drops += lost
    rows, lost = once(rows, config.repeats)
    known = named(drops + lost, config.name)
    return EdgeRows(
        config.name, config.ends, rows, config.directed, config.half_life_days, rows_read, known
    )


def save_relations(relations: Iterable[EdgeRows], folder: Path) -> None:
    """Write relations.json and a numbered Parquet file for each relation into `folder`."""
    documents = []
    for number, relation in enumerate(relations):
        relation.rows.write_parquet(folder / f"{number}.parquet")
        document = dict(vars(relation))
        del document["rows"]
        document["drops"] = facts(relation.drops)
        documents.append(document)
    write_json(folder / _DOCUMENT, documents)


def load_relations(folder: Path) -> list[EdgeRows]:
    """What `save_relations` wrote."""
    relations = []
    for number, document in enumerate(read_json(folder / _DOCUMENT)):
        document["ends"] = tuple(document["ends"])
        document["drops"] = Drops(document["drops"])
        document["rows"] = read_parquet(folder / f"{number}.parquet")
        relations.append(EdgeRows(**document))
    return relations
