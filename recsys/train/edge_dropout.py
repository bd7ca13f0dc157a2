"""Some edges stay silent for one step: what a node hears should not hang on single neighbours."""

from dataclasses import replace

import torch

from recsys.graph.schema import Block, Messages


def drop_edges(blocks: list[Block] | Block, share: float) -> list[Block] | Block:
    """The same blocks with that share of the edges of each relation silent, the rest louder by 1/(1
    − share).

    Degrees and attention are those of all edges, so that sums keep their expectation (message
    dropout on LightGCN's fixed normalisation; Wu et al. 2021, SGL, "edge dropout"). One draw from
    torch's generator a block and relation: a full graph is the same in all layers of a step. share:
    in [0, 1).
    """
    if not share:
        return blocks
    return (
        _thinned(blocks, share)
        if isinstance(blocks, Block)
        else [_thinned(block, share) for block in blocks]
    )


def _thinned(block: Block, share: float) -> Block:
    return replace(
        block, messages={relation: _silence(one, share) for relation, one in block.messages.items()}
    )


def _silence(messages: Messages, share: float) -> Messages:
    keep = torch.empty_like(messages.adjacency.weight).bernoulli_(1 - share).div_(1 - share)
    return replace(messages, keep=keep)
