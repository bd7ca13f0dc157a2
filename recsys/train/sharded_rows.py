"""Layer-0 tables whose rows lie with several processes: row n with process n modulo their number.

Rows are asked for and gradients handed back by one exchange of all with all. The sum of a row's
gradients comes together at its owner, whose optimiser has the row's moments: a step is the same as
that of one process that holds the table.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from recsys.model.layer import table_name
from recsys.model.network import Network
from recsys.model.rows import Rows
from recsys.train.ranks import Ranks


class ShardedRows(Rows):
    """Rows that lie with their owners. All processes ask at the same time, each for its own."""

    def __init__(self, ranks: Ranks) -> None:
        self.rank, self.size = ranks.rank, ranks.size

    def some(self, table: Tensor, ids: Tensor) -> Tensor:
        distinct, position = torch.unique(ids, return_inverse=True)
        rows: Tensor = _SomeRows.apply(table, distinct, self.rank, self.size)
        return rows.index_select(0, position)

    def every(self, table: Tensor, count: int) -> Tensor:
        rows: Tensor = _EveryRow.apply(table, count, self.rank, self.size)
        return rows

    def held(self, ids: Tensor) -> Tensor:
        return ids[ids % self.size == self.rank] // self.size

    def shard(self, whole: Tensor) -> Tensor:
        """Rows of a whole table that lie here."""
        return whole[self.rank :: self.size].clone()


def shard_tables(network: Network, ranks: Ranks) -> None:
    """Leave each process its rows of the tables of a network that is the same with all."""
    rows = ShardedRows(ranks)
    for kind in network.learnt_types():
        whole = network.table(kind)
        network.tables[table_name(kind)] = nn.Parameter(rows.shard(whole.detach()))
    network.rows = rows


@torch.no_grad()
def join_tables(network: Network) -> None:
    """The inverse of `shard_tables`: the tables as they are now, as a whole with all processes."""
    if not isinstance(network.rows, ShardedRows):
        return
    for kind in network.learnt_types():
        whole = network.rows.every(network.table(kind), network.num_nodes[kind])
        network.tables[table_name(kind)] = nn.Parameter(whole)
    network.rows = Rows()


class _SomeRows(torch.autograd.Function):
    """table (held, width), distinct ids (n,) → (n, width)."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor, rank: int, size: int) -> Tensor:
        # Requests lie by owner.
        owner = ids % size
        order = torch.argsort(owner, stable=True)
        num_sent = torch.bincount(owner, minlength=size)
        num_received = torch.empty_like(num_sent)
        dist.all_to_all_single(num_received, num_sent)
        sent, received = num_sent.tolist(), num_received.tolist()
        requests = ids.new_empty(sum(received))
        dist.all_to_all_single(requests, ids[order], received, sent)
        local_rows = requests // size

        replies = table.index_select(0, local_rows)
        answers = table.new_empty(len(ids), table.shape[1])
        dist.all_to_all_single(answers, replies, sent, received)
        rows = torch.empty_like(answers)
        rows[order] = answers
        ctx.save_for_backward(order, local_rows)
        ctx.shape, ctx.sent, ctx.received = table.shape, sent, received
        return rows

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        order, local_rows = ctx.saved_tensors
        slopes = gradient.new_empty(len(local_rows), gradient.shape[1])
        dist.all_to_all_single(slopes, gradient[order], ctx.received, ctx.sent)
        slope = gradient.new_zeros(ctx.shape)
        slope.index_add_(0, local_rows, slopes)
        return slope, None, None, None


class _EveryRow(torch.autograd.Function):
    """table (held, width) → (count, width)."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, count: int, rank: int, size: int) -> Tensor:
        ctx.rank, ctx.size = rank, size
        whole = table.new_empty(count, table.shape[1])
        for owner in range(size):
            rows = table.detach()
            if owner != rank:
                rows = table.new_empty(_num_held(count, owner, size), table.shape[1])
            dist.broadcast(rows, owner)
            whole[owner::size] = rows
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        # To each owner its rows; what comes back is added up in the order of the processes.
        by_owner = torch.cat([gradient[owner :: ctx.size] for owner in range(ctx.size)])
        count, width = gradient.shape
        sent = [_num_held(count, owner, ctx.size) for owner in range(ctx.size)]
        own = sent[ctx.rank]
        slopes = gradient.new_empty(own * ctx.size, width)
        dist.all_to_all_single(slopes, by_owner, [own] * ctx.size, sent)
        return slopes.view(ctx.size, own, width).sum(0), None, None, None


def _num_held(count: int, owner: int, size: int) -> int:
    """Rows of `count` that lie with an owner."""
    return len(range(owner, count, size))
