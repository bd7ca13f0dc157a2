"""Continue from an earlier training when users and items were added: old states by outside id, new
ones start small.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from safetensors.numpy import load_file, save_file

from recsys.core.arrays import Float32Array
from recsys.core.artefacts import atomic_folder
from recsys.core.errors import DataError, UsageError
from recsys.core.ids import UNKNOWN, IdMap
from recsys.core.interactions import Interactions
from recsys.core.table_files import read_parquet
from recsys.graph.schema import ITEM, USER, Graph, NodeType
from recsys.model.network import Network

FOLDER = "states"
_FRESH_SHARE = (
    0.1  # of the old states' root mean square: a new node is first what its neighbours send it
)
_KIND, _LABEL = "node_type", "label"


class WarmStart(NamedTuple):
    """states: (n, width) layer-0 states by node type, in the dense ids of the new phase.

    shared: parameters that do not belong to a node, by name. known: nodes by type that the earlier
    training had.
    """

    states: dict[NodeType, Float32Array]
    shared: dict[str, Float32Array]
    known: dict[NodeType, int]


def save_states(folder: Path, network: Network, graph: Graph, interactions: Interactions) -> None:
    """Write `folder`/states: what a later training can start from."""
    tables = {kind: network.table(kind) for kind in graph.num_nodes}
    arrays = {f"table/{kind}": table.detach().cpu().numpy() for kind, table in tables.items()}
    for name, value in network.named_parameters():
        if not any(value is table for table in tables.values()):
            arrays[f"shared/{name}"] = value.detach().cpu().numpy()
    with atomic_folder(folder / FOLDER) as part:
        save_file(
            {name: np.ascontiguousarray(value) for name, value in arrays.items()},
            part / "states.safetensors",
        )
        labels = [
            pl.DataFrame({_KIND: kind, _LABEL: ids})
            for kind, ids in _labels(graph, interactions).items()
        ]
        pl.concat(labels).write_parquet(part / "labels.parquet")


def load_states(
    folder: Path, graph: Graph, interactions: Interactions, width: int, seed: int = 0
) -> WarmStart:
    """The states of an earlier training, aligned with a new phase by outside ids.

    Nodes that the earlier training did not have start from normal draws of a tenth of the old
    states' size. Raises UsageError when there are none in `folder`, DataError when their width
    differs.
    """
    path = folder / FOLDER / "states.safetensors"
    if not path.exists():
        raise UsageError(
            f"{str(folder)!r} holds no trained states to start from",
            "Give a folder of an earlier training",
        )
    arrays = load_file(path)
    old_labels = read_parquet(folder / FOLDER / "labels.parquet")
    states, known = {}, {}
    for kind, labels in _labels(graph, interactions).items():
        if f"table/{kind}" not in arrays:
            continue
        old = arrays[f"table/{kind}"]
        if old.shape[1] != width:
            raise DataError(
                f"the states in {str(folder)!r} are {old.shape[1]} wide, model.width is {width}",
                f"Set model.width = {old.shape[1]}, or train without train.warm_start",
            )
        old_ids = IdMap(old_labels.filter(pl.col(_KIND) == kind)[_LABEL], kind)
        states[kind], known[kind] = _aligned(old, old_ids, labels, np.random.default_rng(seed))
    shared = {
        name.removeprefix("shared/"): value
        for name, value in arrays.items()
        if name.startswith("shared/")
    }
    return WarmStart(states, shared, known)


def load_shared(network: Network, shared: dict[str, Float32Array]) -> None:
    """Take over the parameters that both networks have in the same shape."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in shared and shared[name].shape == tuple(parameter.shape):
                parameter.copy_(torch.from_numpy(shared[name]))


def _aligned(
    old: Float32Array, old_ids: IdMap, labels: pl.Series, draw: np.random.Generator
) -> tuple[Float32Array, int]:
    """Rows of `old` in the order of `labels`, fresh draws where unknown; and how many were known."""
    place = old_ids.lookup(labels.to_list())
    known = place != UNKNOWN
    size = _FRESH_SHARE * float(np.sqrt(np.mean(np.square(old)))) if old.size else _FRESH_SHARE
    states = draw.normal(0, size, (len(labels), old.shape[1])).astype(np.float32)
    states[known] = old[place[known]]
    return states, int(known.sum())


def _labels(graph: Graph, interactions: Interactions) -> dict[NodeType, pl.Series]:
    """Outside id of every node, by type."""
    attributes = {kind: pl.Series(labels, dtype=pl.String) for kind, labels in graph.labels.items()}
    return {USER: interactions.users.ids, ITEM: interactions.items.ids} | attributes
