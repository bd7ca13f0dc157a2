"""The graph on disk: graph.json, edges.safetensors, labels.parquet, and features.safetensors if
any.

The same graph gives the same bytes.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from recsys.core.artefacts import atomic_folder, read_json, write_json
from recsys.core.errors import DataError
from recsys.core.features import FeatureColumn
from recsys.core.table_files import read_parquet
from recsys.core.tables import LABEL, NODE_TYPE, Drops
from recsys.graph.schema import Adjacency, AttributeLabels, EdgeType, Features, Graph, NodeType

FORMAT = 1
_DOCUMENT = "graph.json"
_EDGES = "edges.safetensors"
_LABELS = "labels.parquet"
_FEATURES = "features.safetensors"
_ARRAYS = ("indptr", "indices", "weight", "time")


def save_graph(graph: Graph, folder: Path) -> None:
    """Write the graph into `folder`, replacing it whole. Raises MachineError when the disk refuses."""
    with atomic_folder(folder) as staging:
        save_file(_edge_tensors(graph), staging / _EDGES)
        _label_rows(graph.labels).write_parquet(staging / _LABELS, compression="zstd")
        if graph.features:
            values = {}
            for kind, features in graph.features.items():
                values[kind] = features.values.contiguous()
            save_file(values, staging / _FEATURES)
        write_json(staging / _DOCUMENT, _document(graph))


def load_graph(folder: Path) -> Graph:
    """The graph that save_graph wrote: nothing is sorted or built again. Raises DataError when it
    cannot be read.
    """
    try:
        document = read_json(folder / _DOCUMENT)
        _check_format(document, folder)
        tensors = load_file(folder / _EDGES)
        labels = read_parquet(folder / _LABELS)
        features = _load_features(document, folder / _FEATURES)
        return replace(_graph(document, tensors, labels), features=features)
    except (
        OSError,
        json.JSONDecodeError,
        KeyError,
        SafetensorError,
        pl.exceptions.PolarsError,
    ) as error:
        raise DataError(
            f"{str(folder)!r} is not a whole saved graph: {error}", "Build it again"
        ) from error


def _edge_tensors(graph: Graph) -> dict[str, Tensor]:
    tensors = {}
    for (_, relation, _), adjacency in graph.relations.items():
        for array in _ARRAYS:
            tensor = getattr(adjacency, array)
            if tensor is not None:
                tensors[f"{relation}/{array}"] = tensor.contiguous()
    return tensors


def _document(graph: Graph) -> dict[str, Any]:
    # Lists, not objects: the order of node types and relations decides the order of a model's
    # parameters.
    relations = []
    for edge_type, adjacency in graph.relations.items():
        relations.append([*edge_type, adjacency.num_src])
    document: dict[str, Any] = {
        "format": FORMAT,
        "target": list(graph.target),
        "num_nodes": list(graph.num_nodes.items()),
        "relations": relations,
        "drops": dict(graph.drops),
    }
    if graph.features:
        columns = {}
        for kind, features in graph.features.items():
            columns[kind] = [column.document() for column in features.columns]
        document["features"] = columns
    return document


def _load_features(document: dict[str, Any], file: Path) -> dict[NodeType, Features]:
    columns = document.get("features")
    if not columns:
        return {}
    values = load_file(file)
    features = {}
    for kind, documents in columns.items():
        columns_of_kind = tuple(FeatureColumn.read(document) for document in documents)
        features[kind] = Features(columns_of_kind, values[kind])
    return features


def _label_rows(labels: AttributeLabels) -> pl.DataFrame:
    rows: list[tuple[NodeType, str]] = []
    for node_type, values in labels.items():
        rows += [(node_type, label) for label in values]
    return pl.DataFrame(rows, schema={NODE_TYPE: pl.String, LABEL: pl.String}, orient="row")


def _check_format(document: dict[str, Any], folder: Path) -> None:
    if document["format"] != FORMAT:
        raise DataError(
            f"{str(folder)!r} holds a graph of format {document['format']}, this version reads {FORMAT}",
            "Build it again",
        )


def _graph(document: dict[str, Any], tensors: dict[str, Tensor], labels: pl.DataFrame) -> Graph:
    num_nodes = dict(document["num_nodes"])
    relations = {}
    for source, name, destination, num_src in document["relations"]:
        relations[source, name, destination] = _adjacency(tensors, name, num_src)
    target: EdgeType = tuple(document["target"])
    values = {}
    for node_type in num_nodes:
        if ":" in node_type:
            of_type = labels.filter(pl.col(NODE_TYPE) == node_type)
            values[node_type] = tuple(of_type[LABEL])
    return Graph(num_nodes, relations, target, values, Drops(document["drops"]))


def _adjacency(tensors: dict[str, Tensor], name: str, num_src: int) -> Adjacency:
    return Adjacency(
        indptr=tensors[f"{name}/indptr"],
        indices=tensors[f"{name}/indices"],
        weight=tensors[f"{name}/weight"],
        num_src=num_src,
        time=tensors.get(f"{name}/time"),
    )
