"""`torchrun … -m pipelines.cli run …`: one of its processes goes through the run, and all of them train."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from recsys.core.errors import UsageError
from recsys.core.machine import is_under_torchrun


def group_keys(train_workers: int | None, runner: str | None = None) -> dict[str, object]:
    """What configuration keys of `group` become, from flags and from whoever started this process.

    Raises UsageError for another number of processes than torchrun started.
    """
    keys: dict[str, object] = {"group.workers": train_workers}
    if runner == "ray":
        keys["group.launcher"] = "ray"
    if is_under_torchrun():
        size = int(os.environ["WORLD_SIZE"])
        if train_workers not in (None, size):
            raise UsageError(
                f"--train-workers {train_workers}: torchrun started {size} processes",
                "Leave --train-workers out, or torchrun",
            )
        if runner == "ray":
            raise UsageError("--runner ray starts processes of its own", "Leave torchrun out")
        keys["group.workers"] = size
    return keys


@contextmanager
def others_following() -> Iterator[bool]:
    """Whether this process goes through the run; where not, it has followed the one that does, to its
    end.
    """
    if not is_under_torchrun():
        yield True
        return
    from recsys.train.torchrun import end, follow

    if os.environ["RANK"] != "0":
        follow()
        yield False
        return
    try:
        yield True
    finally:
        end()
