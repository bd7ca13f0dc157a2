"""Two views of every node in a batch, an early layer's and the final one's, are told apart from
other nodes'.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from recsys.graph.schema import ITEM, USER
from recsys.model.layer import States
from recsys.model.scaling import unit_rows
from recsys.train.batches import Batch


def contrast(early: States, final: States, batch: Batch, temperature: float) -> Tensor:
    """InfoNCE between an early layer and the final vectors, over the batch's users plus the same
    over its items.

    XSimGCL (Yu et al. 2023, eq. 11), whose views differ by the noise that layer outputs carry.
    early, final: (n, width) by node type, rows as the batch numbers them.
    """
    users = torch.cat([group.users for group in batch.groups]).unique()
    items = torch.cat([group.positives for group in batch.groups]).unique()
    of_users = _info_nce(early[USER][users], final[USER][users], temperature)
    of_items = _info_nce(early[ITEM][items], final[ITEM][items], temperature)
    return of_users + of_items


def _info_nce(early: Tensor, final: Tensor, temperature: float) -> Tensor:
    """Mean of −log softmax_j(cos(early_i, final_j) / temperature) at j = i; both (n, width)."""
    # (n, n); the other view of a node is on the diagonal.
    cosines = unit_rows(early) @ unit_rows(final).T
    own = torch.arange(len(early), device=early.device)
    return cross_entropy(cosines / temperature, own)
