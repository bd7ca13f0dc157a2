"""What a training will take, said before it starts; and the way to train that follows from it."""

from dataclasses import dataclass, replace

import torch

from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.errors import MachineError
from recsys.core.machine import free_memory_bytes, total_memory_bytes
from recsys.graph.schema import Graph
from recsys.train.batches import batch_size

_FLOAT_BYTES = 4
_TABLE_COPIES = (
    7  # parameter, gradient, two Adam moments, best epoch, and two while a checkpoint is written
)
_AVERAGE_COPIES = 2  # the moving average, and one while a checkpoint is written
_STATE_COPIES = 6  # of (nodes, width) a layer: state, unit rows, message, and their gradients
_SENT_COPIES, _HEARD_COPIES = (
    2,
    4,
)  # of (nodes, width) a layer and added relation: by head and unit; mixed, gradients
_STORED_EDGE_BYTES = (
    32  # of an edge of a graph that is sampled: no transposed order, and nothing for gradients
)
_EDGE_BYTES = 64  # of an edge: indices, weight, degree prior, transposed order
_SCORE_COPIES = 5  # of (edges, heads) a layer: cosine, exponential, attention, and their gradients
_BATCHES_IN_FLIGHT = 3  # drawn, waiting and stepping
_SAMPLING_COST = (
    2  # an edge of a sampled block costs this many edges of the full graph (drawing, gathering)
)
_QUICK_EDGES = 10_000_000  # full-graph steps up to here are exact and take well under a second


@dataclass(frozen=True)
class Plan:
    """How training will go. bytes: on the device, at the peak. steps: an epoch. seconds: an epoch;
    None until probed.
    """

    mode: str
    bytes: int
    steps: int
    edges_a_step: int
    seconds: float | None = None

    def timed(self, step_seconds: float) -> "Plan":
        return replace(self, seconds=step_seconds * self.steps)

    def sentence(self) -> str:
        way = {"full": "full-graph", "sampled": "neighbour-sampled"}[self.mode]
        time = "" if self.seconds is None else f" and {self.seconds:.1f} s an epoch"
        return f"{way} training: about {_gigabytes(self.bytes)}{time} ({self.steps} steps of {self.edges_a_step:,} edges)"

    def facts(self) -> dict[str, object]:
        return {
            "mode": self.mode,
            "bytes": self.bytes,
            "seconds_per_epoch": self.seconds,
            "steps": self.steps,
        }


def plan_training(
    graph: Graph, model: ModelConfig, train: TrainConfig, device: torch.device
) -> Plan:
    """The mode, and what it takes.

    Sampled when train.time_respecting. train.mode "auto": full graph when its forecast fits into 60
    % of the machine's memory and its steps are quick, or cost no more than sampled ones; decided
    from counts alone, so that a resumed run decides the same. Raises MachineError when the forecast
    does not fit into train.max_memory_gb, or the memory that is free.
    """
    full, sampled = full_plan(graph, model, train), sampled_plan(graph, model, train)
    if train.time_respecting:
        plan = sampled
    elif train.mode == "auto":
        room = train.max_memory_gb * 1e9 if train.max_memory_gb else 0.6 * total_memory(device)
        cheap = full.edges_a_step <= max(_QUICK_EDGES, _SAMPLING_COST * sampled.edges_a_step)
        plan = full if cheap and full.bytes <= room else sampled
    else:
        plan = full if train.mode == "full" else sampled
    _refuse_too_much(plan, train, device)
    return plan


def full_plan(graph: Graph, model: ModelConfig, train: TrainConfig) -> Plan:
    """Forecast of full-graph training."""
    nodes = sum(graph.num_nodes.values())
    states = nodes * model.width * _FLOAT_BYTES * _STATE_COPIES * (model.layers + 1)
    states += _relation_bytes(graph, model) * model.layers
    edges = graph.num_edges * _EDGE_BYTES
    memory = (
        _fixed_bytes(graph, model, train)
        + edges
        + states
        + _attention_bytes(graph.num_edges, model)
    )
    return Plan("full", memory, _steps(graph, train), graph.num_edges * model.layers)


def sampled_plan(graph: Graph, model: ModelConfig, train: TrainConfig) -> Plan:
    """Forecast of neighbour-sampled training: every drawn neighbour is taken to be new, up to all
    nodes.
    """
    all_nodes = sum(graph.num_nodes.values())
    batch = batch_size(_pairs(graph), train)
    nodes = min(all_nodes, 2 * batch + -(-batch // train.share_size) * train.negatives)
    edges = sources = relations = 0
    for layer in range(model.layers):
        fanout = train.fanouts[min(layer, len(train.fanouts) - 1)]
        heard = nodes / all_nodes
        drawn = _drawn_edges(graph, heard, fanout)
        nodes = min(all_nodes, nodes + drawn)
        edges, sources = edges + drawn, sources + nodes
        relations += _relation_bytes(graph, model, nodes / all_nodes, heard)
    states = sources * model.width * _FLOAT_BYTES * _STATE_COPIES + relations
    blocks = _BATCHES_IN_FLIGHT * edges * _EDGE_BYTES + graph.num_edges * _STORED_EDGE_BYTES
    memory = (
        _fixed_bytes(graph, model, train)
        + states
        + blocks
        + _attention_bytes(edges // model.layers, model)
    )
    return Plan("sampled", memory, _steps(graph, train), edges)


def refuse_too_slow(plan: Plan, train: TrainConfig) -> None:
    """Raises MachineError when a single epoch is forecast to take more than twice
    train.max_minutes.
    """
    if (
        train.max_minutes is not None
        and plan.seconds is not None
        and plan.seconds > 120 * train.max_minutes
    ):
        raise MachineError(
            f"an epoch is forecast to take {plan.seconds / 60:.1f} minutes, and train.max_minutes is {train.max_minutes}",
            "Raise it, use fewer layers or negatives, or train.mode = sampled with smaller fan-outs",
        )


def _refuse_too_much(plan: Plan, train: TrainConfig, device: torch.device) -> None:
    limit = train.max_memory_gb * 1e9 if train.max_memory_gb else free_memory(device)
    if plan.bytes > limit:
        whose = "train.max_memory_gb" if train.max_memory_gb else f"free on {device}"
        raise MachineError(
            f"{plan.mode} training is forecast to take {_gigabytes(plan.bytes)}, and {_gigabytes(limit)} is {whose}",
            "Set train.mode = sampled with smaller train.fanouts and train.batch_size, lower model.width, leave out relations, "
            "or raise train.max_memory_gb",
        )


def free_memory(device: torch.device) -> float:
    """Bytes a training could still take on the device."""
    return (
        float(torch.cuda.mem_get_info(device)[0])
        if device.type == "cuda"
        else float(free_memory_bytes())
    )


def total_memory(device: torch.device) -> float:
    """Bytes of the device."""
    return (
        float(torch.cuda.mem_get_info(device)[1])
        if device.type == "cuda"
        else float(total_memory_bytes())
    )


def _steps(graph: Graph, train: TrainConfig) -> int:
    return -(-_pairs(graph) // batch_size(_pairs(graph), train))


def _pairs(graph: Graph) -> int:
    return graph.relations[graph.target].num_edges


def _drawn_edges(graph: Graph, share: float, fanout: int) -> int:
    """Edges drawn for that share of the nodes: as many as there are, at most `fanout` a node."""
    drawn = 0.0
    for edge_type, adjacency in graph.relations.items():
        asking = share * graph.num_nodes[edge_type[2]]
        mean = adjacency.num_edges / max(graph.num_nodes[edge_type[2]], 1)
        drawn += asking * (mean if fanout < 0 else min(mean, fanout))
    return int(drawn)


def _fixed_bytes(graph: Graph, model: ModelConfig, train: TrainConfig) -> int:
    """Tables with their optimiser state, features, and the scores of one share."""
    copies = _TABLE_COPIES + (_AVERAGE_COPIES if train.ema else 0)
    tables = sum(graph.num_nodes.values()) * model.width * _FLOAT_BYTES * copies
    candidates = train.negatives + (train.share_size if train.in_batch else 0)
    scores = train.share_size * candidates * _FLOAT_BYTES * 2
    features = sum(one.values.numel() for one in graph.features.values()) * _FLOAT_BYTES
    return tables + features + scores


def _relation_bytes(graph: Graph, model: ModelConfig, sent: float = 1.0, heard: float = 1.0) -> int:
    """What a layer keeps of the relations beyond the base one of each type: states of their sources
    and destinations.

    sent, heard: share of the nodes that are sources and destinations of the layer.
    """
    base = {graph.base_relation(kind) for kind in graph.num_nodes}
    added = [edge_type for edge_type in graph.relations if edge_type not in base]
    sources, destinations = (sum(graph.num_nodes[one[end]] for one in added) for end in (0, 2))
    rows = _SENT_COPIES * sent * sources + _HEARD_COPIES * heard * destinations
    return int(rows * model.width * _FLOAT_BYTES)


def _attention_bytes(edges: int, model: ModelConfig) -> int:
    """Scores of the edges a layer, kept for the backward pass; none when γ is fixed at 0."""
    scored = model.attention or model.family != "degree_prior"
    return edges * model.heads * model.layers * _FLOAT_BYTES * _SCORE_COPIES if scored else 0


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB"
