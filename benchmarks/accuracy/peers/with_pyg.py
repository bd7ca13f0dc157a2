"""Peer: PyG's `LightGCN`, trained on a sparse CSR adjacency with its own BPR loss, one uniform
negative a pair.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from peer import Fitted, Pairs, Timed, by_inner_product, main
from scipy import sparse
from torch_geometric.nn import LightGCN
from torch_geometric.nn.conv.gcn_conv import gcn_norm


def fit(pairs: Pairs, settings: dict[str, Any]) -> Fitted:
    torch.manual_seed(settings["seed"])
    model, adjacency = _model(pairs, settings), _adjacency(pairs.seen)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings["lr"])
    batches = Timed(_batches(pairs, settings), settings.get("batches"))
    for wanted in batches:
        good, bad = model(adjacency, wanted).chunk(2)
        loss = model.recommendation_loss(
            good, bad, node_id=wanted.flatten().unique(), lambda_reg=settings["l2"]
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        vectors = model.get_embedding(adjacency).numpy()
    num_users = len(pairs.users)
    rank = by_inner_product(vectors[:num_users], vectors[num_users:], pairs.seen)
    return Fitted(rank, batches.facts())


def _batches(pairs: Pairs, settings: dict[str, Any]) -> Iterator[torch.Tensor]:
    """(2, pairs + negatives) nodes whose edges are scored: the pairs first, then one uniform
    negative for each.
    """
    user, item = (torch.tensor(places, dtype=torch.long) for places in pairs.seen.nonzero())
    num_users, num_items = pairs.seen.shape
    for _ in range(settings["epochs"]):
        for batch in torch.randperm(len(user)).split(settings["batch_size"]):
            other = torch.randint(num_items, (len(batch),))
            yield torch.stack([user[batch].repeat(2), torch.cat([item[batch], other]) + num_users])


def _model(pairs: Pairs, settings: dict[str, Any]) -> LightGCN:
    # Its convolutions normalise the adjacency in every step unless told otherwise; here that is
    # done once.
    return LightGCN(
        len(pairs.users) + len(pairs.items), settings["width"], settings["layers"], normalize=False
    )


def _adjacency(seen: sparse.csr_matrix) -> torch.Tensor:
    """Symmetrically normalised (nodes, nodes) adjacency, users first."""
    whole = sparse.bmat([[None, seen], [seen.T, None]], format="coo")
    edges = torch.tensor(np.stack([whole.row, whole.col]), dtype=torch.long)
    edges, weight = gcn_norm(edges, num_nodes=whole.shape[0], add_self_loops=False)
    return torch.sparse_coo_tensor(edges, weight, whole.shape).coalesce().to_sparse_csr()


if __name__ == "__main__":
    main(fit)
