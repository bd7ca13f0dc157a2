"""Where training stands, as one file that is whole or absent: a killed run goes on from its last
checkpoint.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy import sparse
from torch import Tensor

from recsys.core.arrays import Float32Array, Int64Array
from recsys.core.artefacts import atomic_file, text_sha256
from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.errors import DataError
from recsys.graph.schema import Graph

FILE = "checkpoint.safetensors"
_FORMAT = 1
_GROUPS = ("parameters", "best", "average", "moments")
# Settings that change nothing in the weights reached; mode and device count as they turned out.
_FREE = {"max_minutes", "checkpoint_every", "max_memory_gb", "warm_start", "mode", "device"}


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    epoch: from 1.
    loss: mean over its pairs.
    seconds: of training alone.
    value: of validation, when taken.
    """

    epoch: int
    loss: float
    seconds: float
    value: float | None = None


@dataclass
class TrainingState:
    """How far training has come.

    epoch: epochs done.
    history: a record for each of them.
    best_epoch, best_value: of validation so far; 0 and None before the first.
    parameters: by name.
    best: parameters of the best validation so far, empty before the first.
    average: the moving average of the parameters, empty without one.
    moments: optimiser state by "<parameter number>.<name>".
    """

    epoch: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float | None = None
    parameters: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    moments: dict[str, Tensor] = field(default_factory=dict)


def save(folder: Path, state: TrainingState, fingerprint: str) -> None:
    """Write the checkpoint of `folder`; the one before stays until this one is whole on disk."""
    tensors: dict[str, Tensor] = {}
    for group in _GROUPS:
        for name, tensor in getattr(state, group).items():
            tensors[f"{group}/{name}"] = tensor.detach().cpu().contiguous().clone()
    document = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "epoch": state.epoch,
        "history": [asdict(record) for record in state.history],
        "best_epoch": state.best_epoch,
        "best_value": state.best_value,
    }
    with atomic_file(folder / FILE) as partial_file:
        save_file(tensors, partial_file, metadata={"standing": json.dumps(document)})


def load(folder: Path, fingerprint: str) -> TrainingState | None:
    """The checkpoint of `folder`, or None when there is none or it belongs to another training.

    Raises DataError for a file that is no checkpoint of ours.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads((file.metadata() or {})["standing"])
            if document["format"] != _FORMAT or document["fingerprint"] != fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise DataError(
            f"{path} is not a readable checkpoint: {error}", "Remove it to train from the start"
        ) from None
    return _training_state(document, tensors)


def _training_state(document: dict[str, Any], tensors: dict[str, Tensor]) -> TrainingState:
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
    for name, tensor in tensors.items():
        group, _, parameter = name.partition("/")
        groups[group][parameter] = tensor
    history = [EpochRecord(**record) for record in document["history"]]
    return TrainingState(
        document["epoch"], history, document["best_epoch"], document["best_value"], **groups
    )


def moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors."""
    named: dict[str, Tensor] = {}
    for number, of_parameter in optimiser.state_dict()["state"].items():
        for name, value in of_parameter.items():
            named[f"{number}.{name}"] = torch.as_tensor(value)
    return named


def restore_moments(optimiser: torch.optim.Optimizer, named: Mapping[str, Tensor]) -> None:
    """The inverse of `moments`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in named.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def fingerprint(
    graph: Graph,
    positives: sparse.csr_matrix,
    moments: Int64Array | None,
    model: ModelConfig,
    train: TrainConfig,
    seed: int,
    epochs: int | None,
    start: Mapping[str, Float32Array],
    mode: str,
    device: torch.device,
) -> str:
    """What a checkpoint belongs to: everything that decides the weights, but for the number of
    threads.

    Args:
        graph: what messages pass over.
        positives: (users, items) known pairs, which the steps visit.
        moments: what training reads of times; None where it reads none.
        model, train: the configuration. Where it leaves a choice to the machine ("auto"), that
            choice counts and not the word.
        seed: of all draws.
        epochs: a fixed number of them, or None.
        start: given states and shared parameters by name.
        mode: of the plan.
        device: where training runs; another kind of device rounds otherwise.

    Returns:
        A SHA-256 in hexadecimal.
    """
    arrays = _graph_arrays(graph, with_times=train.time_respecting)
    arrays["positives/indptr"] = positives.indptr
    arrays["positives/indices"] = positives.indices
    if moments is not None:
        arrays["positives/moments"] = moments
    for name, states in start.items():
        arrays[f"start/{name}"] = states
    document = {
        "nodes": graph.num_nodes,
        # In their order: the layers draw their first weights one after the other.
        "relations": list(graph.relations),
        "target": graph.target,
        "arrays": {name: _digest(array) for name, array in arrays.items()},
        "model": model.model_dump(),
        "train": train.model_dump(exclude=_FREE),
        "mode": mode,
        "device": device.type,
        "seed": seed,
        "epochs": epochs,
    }
    return text_sha256(json.dumps(document, sort_keys=True))


def _graph_arrays(graph: Graph, with_times: bool) -> dict[str, NDArray[Any]]:
    """What the layers read of a graph, by name. Labels of attribute nodes are read by nobody."""
    arrays: dict[str, NDArray[Any]] = {}
    for edge_type, adjacency in graph.relations.items():
        name = "/".join(edge_type)
        arrays[f"{name}/indptr"] = adjacency.indptr.cpu().numpy()
        arrays[f"{name}/indices"] = adjacency.indices.cpu().numpy()
        arrays[f"{name}/weight"] = adjacency.weight.cpu().numpy()
        if with_times and adjacency.time is not None:
            arrays[f"{name}/time"] = adjacency.time.cpu().numpy()
    for node_type, features in graph.features.items():
        arrays[f"features/{node_type}"] = features.values.cpu().numpy()
    return arrays


def _digest(array: NDArray[Any]) -> str:
    flat = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{flat.dtype}{flat.shape}".encode())
    digest.update(flat.data)
    return digest.hexdigest()
