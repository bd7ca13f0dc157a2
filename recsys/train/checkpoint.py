"""Where training stands, as one file that is whole or absent: a killed run goes on from its last
checkpoint.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recsys.core.arrays import Int64Array
from recsys.core.artefacts import atomic_file, text_sha256
from recsys.core.config import TrainConfig
from recsys.core.errors import DataError
from recsys.graph.schema import Graph
from recsys.train.forecast import Plan
from recsys.train.problem import Problem
from recsys.train.ranks import ALONE, Ranks

FILE = "checkpoint.safetensors"
_FORMAT = 1
_GROUPS = ("parameters", "best", "average", "moments")
# Settings that change nothing in the weights reached; mode and device count as they turned out.
_FREE = {
    "max_minutes",
    "checkpoint_every",
    "max_memory_gb",
    "refit_share",
    "warm_start",
    "mode",
    "device",
    "shard_tables",
}


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
    parts: 1, or the number of processes that hold a part of the tables each; then the tensors have
        the rows of this process, ids modulo `parts`.
    """

    epoch: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float | None = None
    parameters: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    moments: dict[str, Tensor] = field(default_factory=dict)
    parts: int = 1


@dataclass(frozen=True)
class Divided:
    """What lies in parts with several processes.

    parameters: names. numbers: of the same parameters, in the optimiser.
    """

    parameters: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()

    def holds(self, group: str, name: str, tensor: Tensor) -> bool:
        """Whether a tensor of a `TrainingState` has a row for every node of a divided table."""
        if group == "moments":
            return tensor.ndim > 0 and name.partition(".")[0] in self.numbers
        return name in self.parameters

    def cut(self, state: TrainingState, part: Callable[[Tensor], Tensor]) -> None:
        """Leave of whole tensors the part of this process."""
        for group in _GROUPS:
            tensors: dict[str, Tensor] = getattr(state, group)
            for name, tensor in tensors.items():
                if self.holds(group, name, tensor):
                    tensors[name] = part(tensor)


WHOLE = Divided()


def save(
    folder: Path,
    state: TrainingState,
    fingerprint: str,
    ranks: Ranks = ALONE,
    divided: Divided = WHOLE,
) -> None:
    """Write the checkpoint of `folder`; the one before stays until this one is whole on disk.

    Args:
        folder: of the checkpoint.
        state: to write.
        fingerprint: of the training.
        ranks: the processes that train together and call this alike; the first writes what all
            have.
        divided: what each writes of its own, into a file that says how many there are.
    """
    common: dict[str, Tensor] = {}
    own: dict[str, Tensor] = {}
    for group in _GROUPS:
        for name, tensor in getattr(state, group).items():
            into = own if divided.holds(group, name, tensor) else common
            into[f"{group}/{name}"] = tensor.detach().cpu().contiguous().clone()
    if own:
        with atomic_file(_part(folder, state.epoch, ranks.rank, ranks.size)) as partial_file:
            save_file(own, partial_file)
        ranks.wait()
    if ranks.leads:
        _save_common(folder, state, fingerprint, common, ranks.size if own else 1)
        _remove_other_parts(folder, state.epoch if own else None, ranks.size)


def _save_common(
    folder: Path, state: TrainingState, fingerprint: str, tensors: dict[str, Tensor], parts: int
) -> None:
    """The file that makes a checkpoint of its parts.

    Args:
        folder: of the checkpoint.
        state: where training stands.
        fingerprint: of the training.
        tensors: that all processes have.
        parts: files beside this one.
    """
    document = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "epoch": state.epoch,
        "history": [asdict(record) for record in state.history],
        "best_epoch": state.best_epoch,
        "best_value": state.best_value,
    }
    if parts > 1:
        document["parts"] = parts
    with atomic_file(folder / FILE) as partial_file:
        save_file(tensors, partial_file, metadata={"standing": json.dumps(document)})


def _part(folder: Path, epoch: int, rank: int, size: int) -> Path:
    """File of the rows whose ids are `rank` modulo `size`."""
    return folder / f"checkpoint-{epoch}-{rank}-of-{size}.safetensors"


def _remove_other_parts(folder: Path, epoch: int | None, size: int) -> None:
    """Those of earlier checkpoints; nothing refers to them any more."""
    present = set()
    if epoch is not None:
        present = {_part(folder, epoch, rank, size) for rank in range(size)}
    for path in folder.glob("checkpoint-*-of-*.safetensors"):
        if path not in present:
            path.unlink()


def load(
    folder: Path, fingerprint: str, ranks: Ranks = ALONE, divides: bool = False
) -> TrainingState | None:
    """The checkpoint of `folder`, or None when there is none or it belongs to another training.

    However many processes wrote it: a part is put together from theirs.

    Args:
        folder: of the checkpoint.
        fingerprint: of the training.
        ranks: the processes that go on with it.
        divides: whether each of them wants its part of the tables alone.

    Raises:
        DataError: a file is no checkpoint of ours, or a part is missing.
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
        parts = document.get("parts", 1)
        divides = divides and ranks.size > 1
        if parts > 1:
            rows = slice(ranks.rank, None, ranks.size) if divides else slice(None)
            tensors |= _rows_of_parts(folder, document["epoch"], parts, rows)
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise DataError(
            f"{path} is not a readable checkpoint: {error}", "Remove it to train from the start"
        ) from None
    state = _training_state(document, tensors)
    state.parts = ranks.size if parts > 1 and divides else 1
    return state


def _rows_of_parts(folder: Path, epoch: int, parts: int, rows: slice) -> dict[str, Tensor]:
    """Some rows of the divided tensors, in the order of their ids."""
    with ExitStack() as files:
        opened = []
        for rank in range(parts):
            path = _part(folder, epoch, rank, parts)
            opened.append(files.enter_context(safe_open(path, framework="pt")))
        tensors = {}
        for name in opened[0].keys():  # noqa: SIM118 - not a mapping
            shards = [file.get_tensor(name) for file in opened]
            whole = torch.empty(sum(len(shard) for shard in shards), *shards[0].shape[1:])
            # Row n lies with process n modulo their number.
            for rank, shard in enumerate(shards):
                whole[rank::parts] = shard
            tensors[name] = whole[rows].clone()
    return tensors


def _training_state(document: dict[str, Any], tensors: dict[str, Tensor]) -> TrainingState:
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
    for name, tensor in tensors.items():
        group, _, parameter = name.partition("/")
        groups[group][parameter] = tensor
    history = [EpochRecord(**record) for record in document["history"]]
    return TrainingState(
        epoch=document["epoch"],
        history=history,
        best_epoch=document["best_epoch"],
        best_value=document["best_value"],
        parameters=groups["parameters"],
        best=groups["best"],
        average=groups["average"],
        moments=groups["moments"],
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
    problem: Problem,
    moments: Int64Array | None,
    train: TrainConfig,
    epochs: int | None,
    plan: Plan,
) -> str:
    """What a checkpoint belongs to: everything that decides the weights, but for the number of
    threads.

    Args:
        problem: what is learned.
        moments: what training reads of times; None where it reads none.
        train: the configuration. Where it leaves a choice to the machine ("auto"), that choice
            counts and not the word.
        epochs: a fixed number of them, or None.
        plan: mode and device; another kind of device rounds otherwise.

    Returns:
        A SHA-256 in hexadecimal.
    """
    graph = problem.graph
    arrays = _graph_arrays(graph, with_times=train.time_respecting)
    arrays["positives/indptr"] = problem.positives.indptr
    arrays["positives/indices"] = problem.positives.indices
    if moments is not None:
        arrays["positives/moments"] = moments
    for known_states in (problem.start, problem.shared):
        for name, states in (known_states or {}).items():
            arrays[f"start/{name}"] = states
    document = {
        "nodes": graph.num_nodes,
        # In their order: the layers draw their first weights one after the other.
        "relations": list(graph.relations),
        "target": graph.target,
        "arrays": {name: _digest(array) for name, array in arrays.items()},
        "model": problem.model.model_dump(),
        "train": train.model_dump(exclude=_FREE),
        "mode": plan.mode,
        "device": plan.device.type,
        "seed": problem.seed,
        "epochs": epochs,
        "first_epoch": problem.first_epoch,
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
