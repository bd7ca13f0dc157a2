"""Continue from an earlier training when users and items were added: old states by external id, new
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
# Of the old states' root mean square: a new node is first what its neighbours' messages say.
_FRESH_SHARE = 0.1
_KIND, _LABEL = "node_type", "label"


class WarmStart(NamedTuple):
    """states: (n, width) layer-0 states by node type, in the dense ids of the new phase.

    shared: parameters that do not belong to a node, by name. known: nodes by type that the earlier
    training had. epoch: that training goes on after.
    """

    states: dict[NodeType, Float32Array]
    shared: dict[str, Float32Array]
    known: dict[NodeType, int]
    epoch: int = 0


class TrainedStates(NamedTuple):
    """What a training left, by external ids: a later one can start from it.

    arrays: by name, the layer-0 states of a node type ("table/user", say) and the parameters that
        belong to no node ("shared/…").
    labels: columns node_type and label, external ids in the order of the states.
    origin: what they are called in errors.
    """

    arrays: dict[str, Float32Array]
    labels: pl.DataFrame
    origin: str = "states of the training before"

    def save(self, folder: Path) -> None:
        """Write `folder`/states."""
        with atomic_folder(folder / FOLDER) as file:
            save_file(self.arrays, file / "states.safetensors")
            self.labels.write_parquet(file / "labels.parquet")

    def aligned(
        self,
        graph: Graph,
        interactions: Interactions,
        width: int,
        seed: int = 0,
        epoch: int = 0,
    ) -> WarmStart:
        """In the dense ids of a new phase; epoch: that training goes on after.

        Nodes that the training did not have start from normal draws of a tenth of the old states'
        size. Raises DataError when the width differs.
        """
        states: dict[NodeType, Float32Array] = {}
        known: dict[NodeType, int] = {}
        for kind, labels in _labels(graph, interactions).items():
            if f"table/{kind}" not in self.arrays:
                continue
            old = self.arrays[f"table/{kind}"]
            if old.shape[1] != width:
                raise DataError(
                    f"the {self.origin} are {old.shape[1]} wide, model.width is {width}",
                    f"Set model.width = {old.shape[1]}, or train without train.warm_start",
                )
            of_kind = self.labels.filter(pl.col(_KIND) == kind)
            old_ids = IdMap(of_kind[_LABEL], kind)
            states[kind], known[kind] = _aligned(old, old_ids, labels, np.random.default_rng(seed))
        shared: dict[str, Float32Array] = {}
        for name, value in self.arrays.items():
            group, _, parameter = name.partition("/")
            if group == "shared":
                shared[parameter] = value
        return WarmStart(states, shared, known, epoch)


def states_of(network: Network, graph: Graph, interactions: Interactions) -> TrainedStates:
    """Of a network, whose nodes are those of a phase."""
    arrays: dict[str, Float32Array] = {}
    table_ids = set()
    for kind in network.learnt_types():
        table = network.table(kind)
        table_ids.add(id(table))
        arrays[f"table/{kind}"] = _array(table)
    for name, value in network.named_parameters():
        if id(value) not in table_ids:
            arrays[f"shared/{name}"] = _array(value)
    labels = []
    for kind, ids in _labels(graph, interactions).items():
        labels.append(pl.DataFrame({_KIND: kind, _LABEL: ids}))
    return TrainedStates(arrays, pl.concat(labels))


def load_states(folder: Path) -> TrainedStates:
    """Of a folder. Raises UsageError when there are none in it."""
    path = folder / FOLDER / "states.safetensors"
    if not path.exists():
        raise UsageError(
            f"{str(folder)!r} holds no trained states to start from",
            "Give a folder of an earlier training",
        )
    labels = read_parquet(folder / FOLDER / "labels.parquet")
    return TrainedStates(load_file(path), labels, f"states in {str(folder)!r}")


def load_shared(network: Network, shared: dict[str, Float32Array]) -> None:
    """Take over the parameters that both networks have in the same shape."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name not in shared:
                continue
            values = shared[name]
            if parameter.ndim == 0 and values.shape == (1,):
                # Files hold single numbers as arrays of one.
                values = values.reshape(())
            if values.shape == tuple(parameter.shape):
                parameter.copy_(torch.from_numpy(values))


def _aligned(
    old: Float32Array, old_ids: IdMap, labels: pl.Series, draw: np.random.Generator
) -> tuple[Float32Array, int]:
    """Rows of `old` in the order of `labels`, fresh draws where unknown; and how many were known."""
    row = old_ids.lookup(labels.to_list())
    known = row != UNKNOWN
    root_mean_square = float(np.sqrt(np.mean(np.square(old)))) if old.size else 1.0
    deviation = _FRESH_SHARE * root_mean_square
    states = draw.normal(0, deviation, (len(labels), old.shape[1])).astype(np.float32)
    states[known] = old[row[known]]
    return states, int(known.sum())


def _array(tensor: torch.Tensor) -> Float32Array:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def _labels(graph: Graph, interactions: Interactions) -> dict[NodeType, pl.Series]:
    """External id of every node, by type."""
    labels = {USER: interactions.users.ids, ITEM: interactions.items.ids}
    for kind, values in graph.labels.items():
        labels[kind] = pl.Series(values, dtype=pl.String)
    return labels
