"""What the machine has and what this process took."""

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_STATUS = Path("/proc/self/status")
_PLANNED_SHARE = 0.6


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def total_memory_bytes() -> int:
    """Memory of the machine, or of the container when that has less."""
    import psutil  # in the functions that ask: `recsys --help` does without

    limit = _cgroup_bytes("memory.max")
    machine = int(psutil.virtual_memory().total)
    return machine if limit is None else min(machine, limit)


def planned_memory_bytes() -> int:
    """What a run plans with: a share of the machine, whatever others take of it at the moment, so
    that the same run on the same machine leaves out the same.
    """
    return int(_PLANNED_SHARE * total_memory_bytes())


def free_memory_bytes() -> int:
    """Memory that could still be taken, on the machine and within the container's limit."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit, used = _cgroup_bytes("memory.max"), _cgroup_bytes("memory.current")
    if limit is None or used is None:
        return free
    return min(free, max(limit - used + _cgroup_file_cache_bytes(), 0))


def _cgroup_file_cache_bytes() -> int:
    """What the container's limit counts as used although it is given back when needed."""
    try:
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def _cgroup_bytes(name: str) -> int | None:
    """A number of the container's control group; None where there is none or no limit is set."""
    try:
        text = (_CGROUP / name).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far, or since its high-water mark was last reset."""
    # Not from getrusage where there is another way: there a program begins at the peak of the one
    # that started it.
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def processor_seconds() -> float:
    """Processor time of this process, all its threads, and the processes it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def versions(
    packages: tuple[str, ...] = ("numpy", "polars", "torch", "dgl", "faiss-cpu", "scipy"),
) -> dict[str, str]:
    """Versions of Python, recsys and the packages that decide results; "absent" where one is not
    installed.
    """
    installed = {"python": platform.python_version()}
    for package in ("recsys", *packages):
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            installed[package] = "absent"
    return installed
