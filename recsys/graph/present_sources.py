"""Blocks of users without the nodes that send them nothing."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from recsys.core.ordering import dense_ids
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
    nodes = dict(block.nodes)
    messages = dict(block.messages)
    for kind in sorted(_sending(block) | set(wanted)):
        relations = [relation for relation in block.messages if relation[0] == kind]
        sources = [block.messages[relation].adjacency.indices for relation in relations]
        if kind in wanted:
            sources.append(wanted[kind])
        together = torch.cat(sources).numpy()
        ids, numbers = dense_ids(together, int(together.max(initial=-1)) + 1)
        nodes[kind] = torch.from_numpy(ids)
        # Those of the relations first, one behind the other.
        lengths = [len(indices) for indices in sources]
        numbers_of = torch.from_numpy(numbers).split(lengths)
        for relation, source_numbers in zip(relations, numbers_of, strict=False):
            of_relation = block.messages[relation]
            messages[relation] = _renumbered(of_relation, nodes[kind], source_numbers)
    return Block(nodes, block.num_dst, messages)


def _sending(block: Block) -> set[NodeType]:
    """Types of nodes that send messages in a block, users aside."""
    return {source for source, _, _ in block.messages if source != USER}


def _renumbered(messages: Messages, ids: Tensor, numbers: Tensor) -> Messages:
    """With sources counted by their place in `ids`: numbers (edges,)."""
    kind = messages.adjacency.indices.dtype
    adjacency = replace(messages.adjacency, indices=numbers.to(kind), num_src=len(ids))
    return replace(messages, adjacency=adjacency, source_degree=messages.source_degree[ids])
