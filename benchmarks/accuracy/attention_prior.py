"""What a network of the family degree_prior learnt: γ, exponents, and how far attention departs
from the degree prior.
"""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.accuracy.attention_entropy import entropy_by_neighbours
from recsys.graph.schema import Graph, Messages, full_block
from recsys.model.attention import DegreePriorAttention
from recsys.model.layer import Layer
from recsys.model.network import Network
from recsys.model.scaling import unit_rows


def layer_facts(network: Network, graph: Graph) -> list[dict[str, Any]]:
    """Per layer and relation: γ by head, exponents, and the entropy of attention by the target's
    degree.
    """
    block = full_block(graph)
    facts = []
    with torch.no_grad():
        states = list(network.eval().layer_states(block))
        for depth, layer in enumerate(network.layers, start=1):
            before = states[depth - 1]
            for relation, messages in block.messages.items():
                attention = cast(DegreePriorAttention, cast(Layer, layer).of(relation))
                source, target = before[relation[0]], before[relation[2]]
                prior, logits = degree_prior_logits(attention, source, target, messages)
                indptr = messages.adjacency.indptr.numpy().astype(np.int64)
                prior_values, values = prior.double().numpy(), logits.double().numpy()
                of_relation = {
                    "layer": depth,
                    "relation": "–".join(relation),
                    "gamma": _rounded(attention.gamma),
                    "source_exponent": _rounded(attention.source_exponent),
                    "target_exponent": _rounded(attention.target_exponent),
                    "entropy": entropy_by_neighbours(prior_values, values, indptr),
                }
                facts.append(of_relation)
    return facts


def degree_prior_logits(
    attention: DegreePriorAttention, source: Tensor, target: Tensor, messages: Messages
) -> tuple[Tensor, Tensor]:
    """(edges,) logits of the degree prior, and (heads, edges) those of attention.

    source, target: states of the layer before.
    """
    adjacency, heads = messages.adjacency, len(attention.gamma)
    sources, targets = adjacency.indices.long(), adjacency.destinations()
    # ln w_uv − a ln d(u)
    log_degree = messages.source_degree.log()[sources]
    prior = adjacency.weight.log() - attention.source_exponent * log_degree
    # γ^m cos(h_u^m, h_v^m)
    keys = unit_rows(source.reshape(len(source), heads, -1))
    queries = unit_rows(target.reshape(len(target), heads, -1))
    logits = []
    for head in range(heads):
        cosine = (keys[sources, head] * queries[targets, head]).sum(-1)
        logits.append(prior + attention.gamma[head] * cosine)
    return prior, torch.stack(logits)


def _rounded(parameter: Tensor) -> Any:
    return np.round(parameter.detach().double().numpy(), 3).tolist()
