"""What a training will take, said before it starts; and the way to train that follows from it."""

from dataclasses import dataclass, replace
from math import ceil

import torch

from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.errors import ConfigError, MachineError
from recsys.core.machine import free_memory_bytes, total_memory_bytes
from recsys.graph.schema import USER, Graph
from recsys.train.batches import batch_size

_FLOAT_BYTES = 4
# Parameter, gradient, two Adam moments, best epoch, and two while a checkpoint is written.
_TABLE_COPIES = 7
# The moving average, and one while a checkpoint is written.
_AVERAGE_COPIES = 2
# Of (nodes, width) a layer: state, unit rows, message, and their gradients.
_STATE_COPIES = 6
# Of (nodes, width) a layer and added relation: sources by head and unit; messages mixed, gradients.
_SOURCE_COPIES, _MESSAGE_COPIES = 2, 4
# Of an edge of a graph that is sampled: no transposed order, and nothing for gradients.
_STORED_EDGE_BYTES = 32
# Of an edge: indices, weight, degree prior, transposed order.
_EDGE_BYTES = 64
# Of (edges, heads) a layer: cosine, exponential, attention, and their gradients.
_SCORE_COPIES = 5
# Drawn, waiting and stepping.
_BATCHES_IN_FLIGHT = 3
# An edge of a sampled block costs this many edges of the full graph (drawing, gathering).
_SAMPLING_COST = 2
# Full-graph steps up to here are exact and take well under a second.
_QUICK_EDGES = 10_000_000


CPU = torch.device("cpu")

_MODES = {"full": "full-graph", "sampled": "neighbour-sampled", "histories": "history"}
_LESS_MEMORY = {
    "histories": "Lower model.history, model.layers or model.width, leave out relations",
    "sampled": "Set smaller train.fanouts and train.batch_size, lower model.width, leave out relations",
    "full": "Set train.mode = sampled with smaller train.fanouts and train.batch_size, "
    "lower model.width, leave out relations",
}
_LESS_TIME = {
    "histories": "use fewer train.negatives, a shorter model.history or fewer layers",
    "sampled": "use fewer layers or negatives, or smaller fan-outs",
    "full": "use fewer layers or negatives, or train.mode = sampled with smaller fan-outs",
}


@dataclass(frozen=True)
class Plan:
    """How training will go.

    mode: "full", "sampled" or, of the family history, "histories".
    bytes: on the device, at the peak.
    steps: of an epoch.
    edges_a_step: that messages pass over.
    seconds: of an epoch; None until probed.
    pairs_a_step: positive pairs of a step.
    edges_a_pass: of the family history, edges that messages between nodes pass over at once.
    device: where it goes on.
    """

    mode: str
    bytes: int
    steps: int
    edges_a_step: int
    seconds: float | None = None
    pairs_a_step: int = 0
    edges_a_pass: int = 0
    device: torch.device = CPU

    def timed(self, step_seconds: float) -> "Plan":
        return replace(self, seconds=step_seconds * self.steps)

    def sentence(self) -> str:
        mode = _MODES[self.mode]
        time = "" if self.seconds is None else f" and {self.seconds:.1f} s an epoch"
        steps = f"{self.steps} steps of {self.edges_a_step:,} edges"
        return f"{mode} training: about {_gigabytes(self.bytes)}{time} ({steps})"

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
    does not fit into train.max_memory_gb, or the memory that is free; ConfigError for what the
    family history cannot do.
    """
    if model.family == "history":
        _require_supported(train)
        plan = history_plan(graph, model, train)
        _refuse_too_much(plan, train, device)
        return replace(plan, device=device)
    full, sampled = full_plan(graph, model, train), sampled_plan(graph, model, train)
    if train.time_respecting:
        plan = sampled
    elif train.mode == "auto":
        room = train.max_memory_gb * 1e9 if train.max_memory_gb else 0.6 * total_memory(device)
        as_cheap = _SAMPLING_COST * sampled.edges_a_step
        is_cheap = full.edges_a_step <= max(_QUICK_EDGES, as_cheap)
        plan = full if is_cheap and full.bytes <= room else sampled
    else:
        plan = full if train.mode == "full" else sampled
    _refuse_too_much(plan, train, device)
    return replace(plan, device=device)


def full_plan(graph: Graph, model: ModelConfig, train: TrainConfig) -> Plan:
    """Forecast of full-graph training."""
    nodes = sum(graph.num_nodes.values())
    states = nodes * model.width * _FLOAT_BYTES * _STATE_COPIES * (model.layers + 1)
    states += _relation_bytes(graph, model) * model.layers
    edges = graph.num_edges * _EDGE_BYTES
    attention = _attention_bytes(graph.num_edges, model)
    memory = _fixed_bytes(graph, model, train) + edges + states + attention
    return Plan("full", memory, _steps(graph, train), graph.num_edges * model.layers)


def sampled_plan(graph: Graph, model: ModelConfig, train: TrainConfig) -> Plan:
    """Forecast of neighbour-sampled training: every drawn neighbour is taken to be new, up to all
    nodes.
    """
    all_nodes = sum(graph.num_nodes.values())
    batch = batch_size(_pairs(graph), train)
    groups = ceil(batch / train.share_size)
    # Seeds: users and items of the pairs, and the negatives of each group.
    nodes = min(all_nodes, 2 * batch + groups * train.negatives)
    edges = sources = relations = 0
    for layer in range(model.layers):
        fanout = train.fanouts[min(layer, len(train.fanouts) - 1)]
        destinations = nodes / all_nodes
        drawn = _drawn_edges(graph, destinations, fanout)
        nodes = min(all_nodes, nodes + drawn)
        edges += drawn
        sources += nodes
        relations += _relation_bytes(graph, model, nodes / all_nodes, destinations)
    states = sources * model.width * _FLOAT_BYTES * _STATE_COPIES + relations
    blocks = _BATCHES_IN_FLIGHT * edges * _EDGE_BYTES + graph.num_edges * _STORED_EDGE_BYTES
    attention = _attention_bytes(edges // model.layers, model)
    memory = _fixed_bytes(graph, model, train) + states + blocks + attention
    return Plan("sampled", memory, _steps(graph, train), edges)


def history_plan(graph: Graph, model: ModelConfig, train: TrainConfig) -> Plan:
    """Forecast of a training on histories: a step costs its pairs times neighbours and negatives;
    messages between nodes cost the graph, now and then.
    """
    pairs = _pairs(graph)
    batch = min(batch_size(pairs, train), max(pairs, 1))
    into_users = [relation for relation in graph.relations if relation[2] == USER]
    drawn = 0
    for relation in into_users:
        adjacency = graph.relations[relation]
        mean_length = adjacency.num_edges / max(adjacency.num_dst, 1)
        drawn += int(batch * min(mean_length, model.history))
    others = graph.num_edges - sum(graph.relations[relation].num_edges for relation in into_users)
    # Users pass on what they hear from items, in every second layer.
    edges_a_pass = others * model.layers
    nodes = sum(graph.num_nodes.values())
    states = nodes * model.width * _FLOAT_BYTES * _STATE_COPIES * (model.layers + 1)
    states += _relation_bytes(graph, model) * model.layers
    edges = graph.num_edges * _EDGE_BYTES + _BATCHES_IN_FLIGHT * drawn * _EDGE_BYTES
    memory = _fixed_bytes(graph, model, train) + edges + states + _attention_bytes(drawn, model)
    return Plan(
        "histories",
        memory,
        _steps(graph, train),
        drawn,
        pairs_a_step=batch,
        edges_a_pass=edges_a_pass,
    )


def refuse_too_slow(plan: Plan, train: TrainConfig) -> None:
    """Raises MachineError when a single epoch is forecast to take more than twice
    train.max_minutes.
    """
    if train.max_minutes is None or plan.seconds is None:
        return
    if plan.seconds > 120 * train.max_minutes:
        raise MachineError(
            f"an epoch is forecast to take {plan.seconds / 60:.1f} minutes, and train.max_minutes is {train.max_minutes}",
            f"Raise it, or {_LESS_TIME[plan.mode]}",
        )


def _require_supported(config: TrainConfig) -> None:
    """Raises ConfigError for what only a training on the graph can do."""
    unsupported = {
        "time_respecting": config.time_respecting,
        "neighbour_positives": config.neighbour_positives,
        "contrast_weight": config.contrast_weight,
        "factor_epochs": config.factor_epochs,
    }
    for name, value in unsupported.items():
        if value:
            raise ConfigError(
                f'train.{name} = {value} with model.family = "history"',
                f'Leave train.{name} out, or set model.family = "degree_prior"',
            )


def _refuse_too_much(plan: Plan, train: TrainConfig, device: torch.device) -> None:
    limit = train.max_memory_gb * 1e9 if train.max_memory_gb else free_memory(device)
    if plan.bytes > limit:
        whose = "train.max_memory_gb" if train.max_memory_gb else f"free on {device}"
        raise MachineError(
            f"{plan.mode} training is forecast to take {_gigabytes(plan.bytes)}, and {_gigabytes(limit)} is {whose}",
            f"{_LESS_MEMORY[plan.mode]}, or raise train.max_memory_gb",
        )


def free_memory(device: torch.device) -> float:
    """Bytes a training could still take on the device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return float(free)
    return float(free_memory_bytes())


def total_memory(device: torch.device) -> float:
    """Bytes of the device."""
    if device.type == "cuda":
        _, total = torch.cuda.mem_get_info(device)
        return float(total)
    return float(total_memory_bytes())


def _steps(graph: Graph, train: TrainConfig) -> int:
    pairs = _pairs(graph)
    return ceil(pairs / batch_size(pairs, train))


def _pairs(graph: Graph) -> int:
    return graph.relations[graph.target].num_edges


def _drawn_edges(graph: Graph, share: float, fanout: int) -> int:
    """Edges drawn for that share of the nodes: as many as there are, at most `fanout` a node."""
    drawn = 0.0
    for edge_type, adjacency in graph.relations.items():
        num_nodes = graph.num_nodes[edge_type[2]]
        mean_degree = adjacency.num_edges / max(num_nodes, 1)
        a_node = mean_degree if fanout < 0 else min(mean_degree, fanout)
        drawn += share * num_nodes * a_node
    return int(drawn)


def _fixed_bytes(graph: Graph, model: ModelConfig, train: TrainConfig) -> int:
    """Tables with their optimiser state, features, and the scores of one group."""
    copies = _TABLE_COPIES + (_AVERAGE_COPIES if train.ema else 0)
    nodes = sum(graph.num_nodes.values())
    if model.family == "history" and not model.user_table:
        nodes -= graph.num_nodes[USER]
    tables = nodes * model.width * _FLOAT_BYTES * copies
    candidates = train.negatives + (train.share_size if train.in_batch else 0)
    scores = train.share_size * candidates * _FLOAT_BYTES * 2
    numbers = sum(features.values.numel() for features in graph.features.values())
    return tables + numbers * _FLOAT_BYTES + scores


def _relation_bytes(
    graph: Graph, model: ModelConfig, source_share: float = 1.0, destination_share: float = 1.0
) -> int:
    """What a layer keeps of the relations beyond the base one of each type: states of their sources
    and destinations, given the share of the nodes that are such.
    """
    base = {graph.base_relation(kind) for kind in graph.num_nodes}
    sources = destinations = 0
    for edge_type in graph.relations:
        if edge_type not in base:
            sources += graph.num_nodes[edge_type[0]]
            destinations += graph.num_nodes[edge_type[2]]
    rows = _SOURCE_COPIES * source_share * sources
    rows += _MESSAGE_COPIES * destination_share * destinations
    return int(rows * model.width * _FLOAT_BYTES)


def _attention_bytes(edges: int, model: ModelConfig) -> int:
    """Scores of the edges a layer, kept for the backward pass; none when γ is fixed at 0."""
    if model.family == "degree_prior" and not model.attention:
        return 0
    return edges * model.heads * model.layers * _FLOAT_BYTES * _SCORE_COPIES


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB"
