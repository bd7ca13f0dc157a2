"""What attention does in a trained model: how far it departs from the degree prior, what it learnt,
whom it helps.

Read from the weights and lists that two runs left in the cache; nothing is trained here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from benchmarks.accuracy import kept
from benchmarks.accuracy.compare import paired
from benchmarks.accuracy.data import load, locked
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.run import Place, configured
from recsys.core.arrays import Float64Array, Int32Array, Int64Array
from recsys.core.artefacts import read_json, write_json
from recsys.core.errors import UsageError
from recsys.evaluate.lists import catalogue_of
from recsys.evaluate.metrics import METRICS, evaluable_users, match
from recsys.evaluate.slices import slices_of
from recsys.graph.schema import EdgeType, Graph, Messages, full_block
from recsys.model.attention import DegreePriorAttention, unit_rows
from recsys.model.network import Network
from recsys.phases.phase import Phase

FACTS = Path(__file__).parent / "attention.json"


def measure(row: Row, other: Row, dataset: str, seed: int, place: Place) -> None:
    """Add what attention does in `row`, beside its γ = 0 twin `other`, to attention.json."""
    config = configured(row, dataset, seed, place)
    if config.model.family != "degree_prior":
        raise UsageError(
            f"{row.name} is of the family {config.model.family!r}",
            "Its layers have no degree prior",
        )
    final = Phase("final", *load(config, place.of(dataset)), config)
    graph = final.graph
    network = Network(graph.num_nodes, list(graph.relations), graph.target, config.model)
    kept.load_weights(network, place.of(dataset), row.name, seed)
    entry = {
        "dataset": dataset,
        "row": row.name,
        "other": other.name,
        "seed": seed,
        "layers": list(layer_facts(network, graph)),
        "slices": list(slice_facts(final, place.of(dataset), row.name, other.name, seed)),
    }
    with locked(FACTS.parent):
        write_json(FACTS, [*(one for one in read() if one["dataset"] != dataset), entry])


def read(path: Path = FACTS) -> list[dict[str, Any]]:
    return read_json(path) if path.exists() else []


def layer_facts(network: Network, graph: Graph) -> Iterator[dict[str, Any]]:
    """Per layer and relation: γ by head, exponents, and the entropy of attention by the target's
    degree.
    """
    block = full_block(graph)
    with torch.no_grad():
        states = list(network.eval().layer_states(block))
    for depth, (layer, before) in enumerate(zip(network.layers, states, strict=False), 1):
        for relation, messages in block.messages.items():
            module = layer.of(relation)
            yield {
                "layer": depth,
                "relation": "–".join(relation),
                "gamma": _rounded(module.gamma),
                "source_exponent": _rounded(module.source_exponent),
                "target_exponent": _rounded(module.target_exponent),
                "entropy": entropy_by_degree(module, relation, before, messages),
            }


def entropy_by_degree(
    module: DegreePriorAttention,
    relation: EdgeType,
    states: dict[str, torch.Tensor],
    messages: Messages,
) -> list[dict[str, float]]:
    """Entropy of attention over that of the degree prior alone, targets of at least 2 neighbours,
    by powers of 2.
    """
    indptr = messages.adjacency.indptr.numpy().astype(np.int64)
    degree = np.diff(indptr)
    with torch.no_grad():
        prior, logits = _logits(module, states[relation[0]], states[relation[2]], messages)
    flat = _entropy(prior.double().numpy(), indptr)
    ratio = np.mean(
        [_entropy(head.double().numpy(), indptr) for head in logits], axis=0
    ) / np.where(flat > 0, flat, 1)
    found = []
    for power in range(1, int(degree.max()).bit_length()):
        inside = (degree >= 2**power) & (degree < 2 ** (power + 1))
        if inside.any():
            low, middle, high = np.quantile(ratio[inside], [0.1, 0.5, 0.9])
            figures = {"low": low, "median": middle, "high": high}
            figures = {name: round(float(value), 4) for name, value in figures.items()}
            found.append({"degree": 2**power, "targets": int(inside.sum()), **figures})
    return found


def slice_facts(
    final: Phase, cache: Path, row: str, other: str, seed: int
) -> Iterator[dict[str, Any]]:
    """NDCG@10 of both rows on every slice of the test, paired by user."""
    ours, plain = (kept.lists(cache, name, seed) for name in (row, other))
    train, held_out = final.interactions, final.judge.held_out_matrix
    for part in slices_of(train, held_out, final.target, catalogue_of(train, final.target)):
        members = evaluable_users(part.held_out)
        if len(members):
            values = [_ndcg(one, members, part.held_out) for one in (ours, plain)]
            yield {
                "group": part.group,
                "label": part.label,
                "users": len(members),
                **paired(*values),
            }


def _ndcg(lists: kept.Kept, members: Int32Array, held_out: sparse.csr_matrix) -> Float64Array:
    places = np.searchsorted(lists.users, members)
    return METRICS["ndcg"](match(lists.ranked[places], members, held_out), 10)


def _logits(
    module: DegreePriorAttention, source: torch.Tensor, target: torch.Tensor, messages: Messages
) -> tuple[torch.Tensor, torch.Tensor]:
    """(edges,) logits of the prior, and (heads, edges) with γ times the cosine on top."""
    adjacency, heads = messages.adjacency, len(module.gamma)
    prior = (
        adjacency.weight.log()
        - module.source_exponent * messages.source_degree.log()[adjacency.indices.long()]
    )
    keys, queries = (
        unit_rows(states.reshape(len(states), heads, -1)) for states in (source, target)
    )
    logits = []
    for head in range(heads):
        nearness = (
            keys[adjacency.indices.long(), head] * queries[adjacency.destinations(), head]
        ).sum(-1)
        logits.append(prior + module.gamma[head] * nearness)
    return prior, torch.stack(logits)


def _entropy(logits: Float64Array, indptr: Int64Array) -> Float64Array:
    """(targets,) entropy in nats of the softmax within each row; 0 for rows without edges."""
    present = np.flatnonzero(np.diff(indptr))
    starts, counts = indptr[present], np.diff(indptr)[present]
    shifted = logits - np.repeat(np.maximum.reduceat(logits, starts), counts)
    weight = np.exp(shifted)
    total = np.add.reduceat(weight, starts)
    found = np.zeros(len(indptr) - 1)
    found[present] = np.log(total) - np.add.reduceat(weight * shifted, starts) / total
    return found


def _rounded(parameter: torch.Tensor) -> Any:
    return np.round(parameter.detach().double().numpy(), 3).tolist()
