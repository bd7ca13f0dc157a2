"""Two views of every node in a batch, an early layer's and the final one's, are told apart from
other nodes'.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from recsys.graph.schema import ITEM, USER
from recsys.model.attention import unit_rows
from recsys.model.layer import States
from recsys.train.batches import Batch


def contrast(early: States, final: States, batch: Batch, temperature: float) -> Tensor:
    """InfoNCE between an early layer and the final vectors, over the batch's users plus the same
    over its items.

    XSimGCL (Yu et al. 2023, eq. 11), whose views differ by the noise that layer outputs carry.
    early, final: (n, width) by node type, rows as the batch numbers them.
    """
    rows = {
        USER: torch.cat([group.users for group in batch.groups]).unique(),
        ITEM: torch.cat([group.positives for group in batch.groups]).unique(),
    }
    losses = [
        _info_nce(early[kind][places], final[kind][places], temperature)
        for kind, places in rows.items()
    ]
    return torch.stack(losses).sum()


def _info_nce(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """Mean of −log softmax_j(cos(one_i, other_j) / temperature) at j = i; both (n, width)."""
    scores = unit_rows(one) @ unit_rows(other).T / temperature
    return cross_entropy(scores, torch.arange(len(one), device=one.device))
