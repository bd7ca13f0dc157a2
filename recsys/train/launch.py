"""Starts the processes of a group, and starts them again from the last checkpoint when one dies.

The processes of one machine are torch's elastic agent's, those of a cluster Ray Train's: both watch,
end and restart the whole group; under `torchrun` they are there already. What a process does is a
function of this or another module, and its arguments are plain data: processes start anew and know
nothing of the one that asked for them.
"""

import json
import logging
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.distributed import FileStore  # type: ignore[attr-defined]

from recsys.core import errors
from recsys.core.artefacts import read_json
from recsys.core.config.group import GroupConfig
from recsys.core.errors import MachineError, RecsysError
from recsys.core.machine import is_under_torchrun
from recsys.core.progress import QUIET, Progress
from recsys.train.member import COMPLAINTS, TOLD, Member, Work
from recsys.train.ranks import join, leave
from recsys.train.ray_launch import run_on_ray
from recsys.train.torchrun import run_together

_POLL_SECONDS = 0.5
_LOOPBACK = "127.0.0.1"
_NOISY = ("torch.distributed.elastic", "torch.multiprocessing.spawn")
"""Loggers of what is said here in one line."""


def run_group(
    work: Work,
    arguments: tuple[Any, ...],
    group: GroupConfig,
    folder: Path,
    progress: Progress = QUIET,
    on_gpu: bool = False,
) -> None:
    """Have a group of processes do something, and wait for it.

    Args:
        work: what each does: work(ranks, progress, *arguments). It goes on from its own checkpoints.
        arguments: plain data.
        group: how many processes, who starts them, and how often again.
        folder: for what they say; all of them reach it.
        progress: told what the first process tells.
        on_gpu: whether what they add up lies on GPUs.

    Raises:
        MachineError: processes died more often than `group.restarts`, or Ray is missing. Also what
            `work` raises.
    """
    folder = folder.absolute()  # processes may run in another one
    folder.mkdir(parents=True, exist_ok=True)
    for complaint in folder.glob(COMPLAINTS):
        complaint.unlink()
    member = Member(work, arguments, folder, group, on_gpu)
    died = None
    with _Relay(folder, progress):
        if group.launcher == "ray":
            died = run_on_ray(member)
        elif is_under_torchrun():
            run_together(member)
        else:
            died = _run_here(member)
    for complaint in sorted(folder.glob(COMPLAINTS)):
        raise _error(read_json(complaint))
    if died is not None:
        raise MachineError(
            f"the training group died {group.restarts + 1} times; the last time {died}",
            "The same command goes on from its last checkpoint; group.workers = 1 trains in one process",
        )


def _run_here(member: Member) -> str | None:
    """By torch's elastic agent; what ended the group when it died too often."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=member.group.workers,
        run_id=f"recsys-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint=f"{_LOOPBACK}:0",
        local_addr=_LOOPBACK,
        max_restarts=member.group.restarts,
        # Those that end this process are its own; the agent ends its processes on the way out.
        signals_to_handle="SIGQUIT",
        shutdown_timeout=5,
    )
    handler = signal.getsignal(signal.SIGQUIT)
    levels = {}
    for name in _NOISY:
        logger = logging.getLogger(name)
        levels[logger] = logger.level
        logger.setLevel(logging.CRITICAL)
    try:
        with TemporaryDirectory(prefix="recsys-") as meetings:
            elastic_launch(settings, _start_here)(member, Path(meetings), os.getpid())
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            return f"process {rank} ended by {failure.signal_name()}"
        return f"process {rank} ended: {failure.message}"
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
        signal.signal(signal.SIGQUIT, handler)
    return None


def _start_here(member: Member, meetings: Path, parent: int) -> None:
    """One process on the machine of the one that asked for it.

    meetings: folder where processes of one start find each other. parent: who asked.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends this one
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    restarts = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    meeting = FileStore(str(meetings / str(restarts)), int(os.environ["WORLD_SIZE"]))
    join(meeting, member.on_gpu, member.group.timeout_seconds)
    member.run(restarts)
    leave()


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def threads_of(group: GroupConfig, threads: int | None) -> int:
    """Threads of torch in each process. threads: as configured; else the cores are shared, and one
    of each share draws the batches.
    """
    if threads is not None:
        return threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processes = group.workers if group.launcher == "local" else 1
    return max(1, (cores or 1) // processes - 1)


def uses_gpu(device: str) -> bool:
    """Whether `train.device` comes to a GPU here."""
    return device != "cpu" and torch.cuda.is_available()


class _Relay:
    """Says inside what `Told` writes."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._path = folder / TOLD
        self._progress = progress
        self._over = threading.Event()
        self._read = 0
        self._thread = threading.Thread(target=self._relay, daemon=True)

    def __enter__(self) -> "_Relay":
        self._path.unlink(missing_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()
        self._say_new()
        self._path.unlink(missing_ok=True)

    def _relay(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            self._say_new()

    def _say_new(self) -> None:
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):  # the rest is being written
                    break
                self._read += len(line)
                told = json.loads(line)
                self._progress.say(told["message"], **told["fields"])


def _error(document: dict[str, str]) -> RecsysError:
    kind = getattr(errors, document["kind"], RecsysError)
    error: RecsysError = kind(document["message"], document["remedy"], code=document["code"])
    return error
