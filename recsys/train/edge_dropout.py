"""Edge dropout: a message should not hang on single neighbours (Wu et al. 2021, SGL)."""

from dataclasses import replace

import torch

from recsys.graph.schema import Block


def drop_edges(blocks: list[Block] | Block, share: float) -> list[Block] | Block:
    """The same blocks with that share of the edges of each relation left out of the messages, the
    rest scaled by 1/(1 − share).

    Degrees and attention are those of all edges, so that sums keep their expectation (message
    dropout on LightGCN's fixed normalisation; Wu et al. 2021, SGL, "edge dropout"). One draw from
    torch's generator a block and relation: a full graph is the same in all layers of a step. share:
    in [0, 1).
    """
    if not share:
        return blocks
    if isinstance(blocks, Block):
        return _dropped(blocks, share)
    return [_dropped(block, share) for block in blocks]


def _dropped(block: Block, share: float) -> Block:
    messages = {}
    for relation, of_relation in block.messages.items():
        # 0 with probability `share`, else 1/(1 − share).
        keep = torch.empty_like(of_relation.adjacency.weight)
        keep.bernoulli_(1 - share).div_(1 - share)
        messages[relation] = replace(of_relation, keep=keep)
    return replace(block, messages=messages)
