"""Processes that train together: the part of each, and what they add up."""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from recsys.core.errors import MachineError

Value = TypeVar("Value")


class Ranks:
    """A process that trains alone: every part is the whole, and sums are what it has.

    rank: of this process, from 0. size: processes. local_rank: of this process on its machine.
    """

    rank = 0
    size = 1
    local_rank = 0

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """The places, of `count`, that are this process's: as many as others have, give or take
        one.
        """
        return part_of(self.rank, self.size, count)

    def add_gradients(self, parameters: Sequence[nn.Parameter], loss: float) -> float:
        """Replace gradients by their sums over the processes; returns the sum of the losses."""
        return loss

    def gathered(self, rows: NDArray[Any], count: int) -> NDArray[Any]:
        """(count, …) the rows of all processes in their order; `rows` are those of `part(count)`."""
        return rows

    def largest(self, value: float) -> float:
        """The largest of what the processes say."""
        return value

    def wait(self) -> None:
        """Until all processes are here."""

    def require_same(self, text: str) -> None:
        """Raises MachineError where processes say different things: they would train apart."""


ALONE = Ranks()


class Group(Ranks):
    """Several processes, joined by torch.distributed. Whatever they wait for together has a limit:
    the time-out of the process group.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))

    def add_gradients(self, parameters: Sequence[nn.Parameter], loss: float) -> float:
        # A parameter that no process has a gradient for stays without: Adam leaves it alone. Where
        # a process had no pairs, it lacks gradients that others have.
        has_gradient = [parameter.grad is not None for parameter in parameters]
        sums = torch.tensor([loss, *has_gradient], dtype=torch.float64)
        dist.all_reduce(sums)
        gradients = []
        for parameter, count in zip(parameters, sums[1:].tolist(), strict=True):
            if not count:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        _add_up(gradients)
        return float(sums[0])

    def gathered(self, rows: NDArray[Any], count: int) -> NDArray[Any]:
        whole = np.empty((count, *rows.shape[1:]), rows.dtype)
        whole[self.part(count)] = rows
        shared = torch.from_numpy(whole)
        # From each process its rows, as many as there are: nothing is padded.
        for rank in range(self.size):
            places = part_of(rank, self.size, count)
            if places.start < places.stop:
                dist.broadcast(shared[places], rank)
        return whole

    def largest(self, value: float) -> float:
        shared = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return float(shared)

    def wait(self) -> None:
        dist.barrier()

    def require_same(self, text: str) -> None:
        texts: list[str] = [""] * self.size
        dist.all_gather_object(texts, text)
        if len(set(texts)) > 1:
            others = [rank for rank in range(self.size) if texts[rank] != texts[0]]
            raise MachineError(
                f"training processes {others} do not see the data or checkpoint of process 0",
                "Give all of them the same run folder",
            )


def part_of(rank: int, size: int, count: int) -> slice:
    """Places of one of `size` processes."""
    return slice(rank * count // size, (rank + 1) * count // size)


def join(meeting: dist.Store, on_gpu: bool, timeout_seconds: float) -> None:
    """Join a process group: gloo between CPUs, NCCL between GPUs.

    Args:
        meeting: where the processes find each other, new for every group: addresses of processes
            that are no more would be tried in vain.
        on_gpu: whether they add up what lies on GPUs.
        timeout_seconds: after which a process that waits for another gives up, with an error.
    """
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=meeting,
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=timedelta(seconds=timeout_seconds),
    )


def leave() -> None:
    """Undo `join`."""
    if dist.is_initialized():
        dist.destroy_process_group()


_SMALL = 1 << 16  # numbers; gradients below go together: each sum has a price of its own


def _add_up(gradients: Sequence[Tensor]) -> None:
    """Sums over the processes, in place."""
    small = [gradient for gradient in gradients if gradient.numel() < _SMALL]
    sums = []
    for gradient in gradients:
        if gradient.numel() >= _SMALL:
            sums.append(dist.all_reduce(gradient, async_op=True))
    if small:
        together = torch.cat([gradient.flatten() for gradient in small])
        dist.all_reduce(together)
        pieces = together.split([gradient.numel() for gradient in small])
        for gradient, piece in zip(small, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))
    for running in sums:
        running.wait()
