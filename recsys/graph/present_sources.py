"""Blocks of users without the nodes that send them nothing."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from recsys.graph.schema import USER, Block, Messages, NodeType


def with_present_sources(block: Block, wanted: Mapping[NodeType, Tensor]) -> Block:
    """The block with those sources alone that have an edge in it, or are wanted anyway.

    What a step computes for the nodes of a catalogue then follows the step, and not the catalogue.
    Users stay as they are: a block lists them as its destinations.

    Args:
        block: sources numbered as in the graph.
        wanted: by node type, ids that are among the sources whatever the edges.

    Returns:
        `nodes` of a type are the ids of its sources, ascending; edges count them from 0.
    """
    ids = _present_ids(block, wanted)
    messages = {}
    for relation, of_relation in block.messages.items():
        if relation[0] in ids:
            of_relation = _renumbered(of_relation, ids[relation[0]])
        messages[relation] = of_relation
    return Block({**block.nodes, **ids}, block.num_dst, messages)


def _present_ids(block: Block, wanted: Mapping[NodeType, Tensor]) -> dict[NodeType, Tensor]:
    by_kind: dict[NodeType, list[Tensor]] = {kind: [sources] for kind, sources in wanted.items()}
    for relation, of_relation in block.messages.items():
        if relation[0] != USER:
            by_kind.setdefault(relation[0], []).append(of_relation.adjacency.indices)
    present = {}
    for kind, sources_of_kind in by_kind.items():
        ids = torch.cat([sources.long() for sources in sources_of_kind])
        present[kind] = torch.unique(ids)
    return present


def _renumbered(messages: Messages, ids: Tensor) -> Messages:
    """With sources counted by their place in `ids`."""
    adjacency = messages.adjacency
    places = torch.searchsorted(ids, adjacency.indices.long())
    adjacency = replace(adjacency, indices=places.to(adjacency.indices.dtype), num_src=len(ids))
    return replace(messages, adjacency=adjacency, source_degree=messages.source_degree[ids])
