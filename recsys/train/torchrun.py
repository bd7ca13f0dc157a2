"""Processes that `torchrun` started: the first goes through the run, the others train when it does.

torchrun watches them, and starts all of them again when one dies; the first then skips what is done and
goes on from the last checkpoint. They meet at the store of torchrun's own rendezvous.
"""

import os
import pickle
import time
from itertools import count

import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from recsys.core.errors import MachineError
from recsys.train.member import Member
from recsys.train.ranks import join, leave

_OVER = b"over"
_POLL_SECONDS = 0.2


def run_together(member: Member) -> None:
    """Train with the processes that follow. One that dies ends all: torchrun sees to that."""
    store = _store()
    _train(member, _give(store, pickle.dumps(member)), store)


def end() -> None:
    """Those that follow may go."""
    _give(_store(), _OVER)


def follow() -> None:
    """Train whenever the first process does, until `end`. Raises MachineError when it is gone."""
    store = _store()
    for group in count(1):
        message = _wait_for(store, _key(group))
        if message == _OVER:
            return
        _train(pickle.loads(message), group, store)


def _give(store: dist.Store, message: bytes) -> int:
    """Tell those that follow; number of the message."""
    group: int = store.add(_key("groups"), 1)
    store.set(_key(group), message)
    return group


def _train(member: Member, group: int, store: dist.Store) -> None:
    join(PrefixStore(_key(f"{group}/"), store), member.on_gpu, member.group.timeout_seconds)
    member.run(_restarts())
    leave()


def _wait_for(store: dist.Store, key: str) -> bytes:
    try:
        while not store.check([key]):
            time.sleep(_POLL_SECONDS)
        message: bytes = store.get(key)
    except dist.DistNetworkError as error:
        raise MachineError(f"torchrun is gone: {error}", "Give the same command again") from None
    return message


def _key(name: int | str) -> str:
    """Of this start of the processes."""
    return f"recsys/{_restarts()}/{name}"


def _restarts() -> int:
    return int(os.environ["TORCHELASTIC_RESTART_COUNT"])


def _store() -> dist.Store:
    """That of torchrun's agent."""
    store: dist.Store = TCPStore(
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False
    )
    return store
