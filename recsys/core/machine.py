"""What the machine has and what this process took."""

import os
import platform
import resource
import sys
from importlib import metadata

import psutil


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory_bytes() -> int:
    return int(psutil.virtual_memory().available)


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def versions(packages: tuple[str, ...] = ("numpy", "polars", "torch", "dgl", "faiss-cpu", "scipy")) -> dict[str, str]:
    """Versions of Python, recsys and the packages that decide results; "absent" where one is not installed."""
    found = {"python": platform.python_version()}
    for package in ("recsys", *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found
