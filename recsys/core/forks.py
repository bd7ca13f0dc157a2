"""Forked processes: a fork has none of the threads of its parent.

What polars computes it computes in threads that it starts once. In a fork of a process that had
them, it waits for them forever. So what needs polars' engine is refused there; answers are made
without it.
"""

import os
import re
from pathlib import Path

from recsys.core.errors import UsageError

_THREADS = Path("/proc/self/task")
_ENGINE = re.compile(r"polars-\d")
"""Names of threads that compute; polars-ooc-cleaner runs from the import on and nothing waits for it."""


class _Process:
    """What this process knows of its parent.

    engine_ran: in the parent at the moment of a fork.
    engine_is_lost: in this process.
    """

    engine_ran = False
    engine_is_lost = False


def _before_fork() -> None:
    _Process.engine_ran = _Process.engine_is_lost or _engine_threads()


def _after_fork_in_child() -> None:
    _Process.engine_is_lost = _Process.engine_ran


def _engine_threads() -> bool:
    """Whether threads of polars run; taken for granted where the system does not tell."""
    if not _THREADS.exists():
        return True
    for thread in _THREADS.iterdir():
        try:
            name = (thread / "comm").read_text(encoding="utf-8")
        except OSError:  # it ended meanwhile
            continue
        if _ENGINE.match(name):
            return True
    return False


def refuse_in_fork(action: str) -> None:
    """Raises UsageError in a fork of a process in which polars had computed something.

    action: what would wait forever, as the message names it.
    """
    if _Process.engine_is_lost:
        raise UsageError(
            f"{action} in a forked process would wait forever: the threads of polars are not forked",
            "Do it before the fork, or start workers with multiprocessing.get_context('spawn')",
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
