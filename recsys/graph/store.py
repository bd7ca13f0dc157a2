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
_DOCUMENT, _EDGES, _LABELS, _FEATURES = (
    "graph.json",
    "edges.safetensors",
    "labels.parquet",
    "features.safetensors",
)
_ARRAYS = ("indptr", "indices", "weight", "time")


def save_graph(graph: Graph, folder: Path) -> None:
    """Write the graph into `folder`, replacing it whole. Raises MachineError when the disk refuses."""
    with atomic_folder(folder) as part:
        save_file(_tensors(graph), part / _EDGES)
        _label_rows(graph.labels).write_parquet(part / _LABELS, compression="zstd")
        if graph.features:
            save_file(
                {kind: one.values.contiguous() for kind, one in graph.features.items()},
                part / _FEATURES,
            )
        write_json(part / _DOCUMENT, _document(graph))


def load_graph(folder: Path) -> Graph:
    """The graph that save_graph wrote: nothing is sorted or built again. Raises DataError when it
    cannot be read.
    """
    try:
        document = read_json(folder / _DOCUMENT)
        _check_format(document, folder)
        tensors = load_file(folder / _EDGES)
        labels = read_parquet(folder / _LABELS)
        return replace(
            _graph(document, tensors, labels), features=_load_features(document, folder / _FEATURES)
        )
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


def _tensors(graph: Graph) -> dict[str, Tensor]:
    named = {
        f"{relation}/{array}": getattr(adjacency, array)
        for (_, relation, _), adjacency in graph.relations.items()
        for array in _ARRAYS
    }
    return {name: tensor.contiguous() for name, tensor in named.items() if tensor is not None}


def _document(graph: Graph) -> dict[str, Any]:
    # Lists, not objects: the order of node types and relations decides the order of a model's
    # parameters.
    columns = {
        kind: [column.document() for column in one.columns] for kind, one in graph.features.items()
    }
    return {
        "format": FORMAT,
        "target": list(graph.target),
        "num_nodes": list(graph.num_nodes.items()),
        "relations": [
            [*edge_type, adjacency.num_src] for edge_type, adjacency in graph.relations.items()
        ],
        "drops": dict(graph.drops),
        **({"features": columns} if columns else {}),
    }


def _load_features(document: dict[str, Any], file: Path) -> dict[NodeType, Features]:
    columns = document.get("features")
    if not columns:
        return {}
    values = load_file(file)
    return {
        kind: Features(tuple(map(FeatureColumn.read, some)), values[kind])
        for kind, some in columns.items()
    }


def _label_rows(labels: AttributeLabels) -> pl.DataFrame:
    rows = [(node_type, label) for node_type, values in labels.items() for label in values]
    return pl.DataFrame(rows, schema={NODE_TYPE: pl.String, LABEL: pl.String}, orient="row")


def _check_format(document: dict[str, Any], folder: Path) -> None:
    if document["format"] != FORMAT:
        raise DataError(
            f"{str(folder)!r} holds a graph of format {document['format']}, this version reads {FORMAT}",
            "Build it again",
        )


def _graph(document: dict[str, Any], tensors: dict[str, Tensor], labels: pl.DataFrame) -> Graph:
    num_nodes = dict(document["num_nodes"])
    relations = {
        (source, name, destination): _adjacency(tensors, name, num_src)
        for source, name, destination, num_src in document["relations"]
    }
    target: EdgeType = tuple(document["target"])
    values = {
        one: tuple(labels.filter(pl.col(NODE_TYPE) == one)[LABEL])
        for one in num_nodes
        if ":" in one
    }
    return Graph(num_nodes, relations, target, values, Drops(document["drops"]))


def _adjacency(tensors: dict[str, Tensor], name: str, num_src: int) -> Adjacency:
    indptr, indices, weight = (
        tensors[f"{name}/{array}"] for array in ("indptr", "indices", "weight")
    )
    return Adjacency(indptr, indices, weight, num_src, tensors.get(f"{name}/time"))
