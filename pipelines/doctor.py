"""What this environment can and cannot do: one check each, with a remedy where it fails."""

import importlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from recsys.core.machine import cores, free_memory_bytes, versions

Status = Literal["ok", "warn", "fail"]
_REQUIRED = (
    "numpy",
    "scipy",
    "polars",
    "pandas",
    "sklearn",
    "torch",
    "faiss",
    "pydantic",
    "safetensors",
    "jinja2",
)
_OPTIONAL = {"implicit": "pip install 'recsys[als]' for the iALS baseline"}
_LAST_OF_DGL = (3, 11)
_LOW_MEMORY_BYTES = 2 << 30
_LOW_DISK_BYTES = 2 << 30


@dataclass(frozen=True)
class Check:
    """One thing looked at; `remedy` says what to do unless it is ok."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def examine(folder: Path) -> list[Check]:
    """All checks; `folder` is where runs would be written."""
    checks = [_python(), *(_import(name) for name in _REQUIRED), _dgl()]
    checks += [_optional(name, remedy) for name, remedy in _OPTIONAL.items()]
    return [
        *checks,
        _openmp(),
        _threads(),
        _device(),
        _memory(),
        _disk(folder),
        _writable(folder),
        _temporary(),
    ]


def document(checks: list[Check]) -> dict[str, Any]:
    """The checks for a machine."""
    healthy = all(check.status != "fail" for check in checks)
    return {
        "healthy": healthy,
        "versions": versions(),
        "checks": [asdict(check) for check in checks],
    }


def _python() -> Check:
    supported = sys.version_info[:2] >= (3, 11)
    remedy = "" if supported else "Use Python 3.11 or a later one"
    return Check(
        "python",
        "ok" if supported else "fail",
        f"{platform.python_version()} at {sys.executable}",
        remedy,
    )


def _import(name: str) -> Check:
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:
        return Check(
            f"import {name}", "fail", str(error), "Install recsys again into a fresh environment"
        )
    return Check(f"import {name}", "ok", str(getattr(module, "__version__", "imported")))


def _dgl() -> Check:
    """In a process of its own: a wheel built for another torch can take the interpreter down.

    Where no wheel of it is published nothing is missing: the plain sampler draws the same.
    """
    if sys.version_info[:2] > _LAST_OF_DGL:
        return Check("import dgl", "ok", "not for this Python; the plain sampler draws the same")
    environment = {**os.environ, "DGLBACKEND": "pytorch"}
    command = [sys.executable, "-W", "ignore", "-c", "import dgl; print(dgl.__version__)"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return Check("import dgl", "fail", "no answer within 120 s", "Install dgl==1.1.3 again")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        return Check(
            "import dgl",
            "fail",
            last,
            "pip install dgl==1.1.3 packaging; see the torch bound of recsys",
        )
    return Check("import dgl", "ok", done.stdout.strip().splitlines()[-1])


def _optional(name: str, remedy: str) -> Check:
    try:
        return Check(name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name, "warn", "absent", remedy)


def _openmp() -> Check:
    """Several OpenMP runtimes in one process can oversubscribe the cores; the copies are named."""
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "openmp"]
    names = [
        f"{pool['prefix']} ({Path(pool['filepath']).parent.name}, {pool['num_threads']} threads)"
        for pool in pools
    ]
    kinds = {pool["prefix"] for pool in pools}
    remedy = "Set OMP_NUM_THREADS to the number of cores" if len(kinds) > 1 else ""
    return Check(
        "openmp", "warn" if len(kinds) > 1 else "ok", ", ".join(names) or "none loaded", remedy
    )


def _threads() -> Check:
    wanted = os.environ.get("OMP_NUM_THREADS")
    description = f"{cores()} cores usable, OMP_NUM_THREADS {wanted or 'unset'}"
    too_many = wanted is not None and wanted.isdigit() and int(wanted) > cores()
    if too_many:
        return Check("threads", "warn", description, "Lower OMP_NUM_THREADS")
    return Check("threads", "ok", description)


def _device() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("device", "ok", "cpu")
    return Check("device", "ok", f"cuda: {torch.cuda.get_device_name(0)}")


def _memory() -> Check:
    free = free_memory_bytes()
    low = free < _LOW_MEMORY_BYTES
    remedy = "Close other programs, or set train.mode to sampled" if low else ""
    return Check("memory", "warn" if low else "ok", f"{free / 1e9:.1f} GB free", remedy)


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(_nearest_existing(folder)).free
    low = free < _LOW_DISK_BYTES
    return Check(
        "disk",
        "warn" if low else "ok",
        f"{free / 1e9:.1f} GB free for {folder}",
        "Choose another --out" if low else "",
    )


def _writable(folder: Path) -> Check:
    return _try_write(f"write {folder}", _nearest_existing(folder), "Choose another --out")


def _temporary() -> Check:
    return _try_write(
        "write temporary files", Path(tempfile.gettempdir()), "Set TMPDIR to a writable folder"
    )


def _try_write(name: str, folder: Path, remedy: str) -> Check:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".recsys-doctor-"):
            return Check(name, "ok", str(folder))
    except OSError as error:
        return Check(name, "fail", f"{folder}: {error.strerror}", remedy)


def _nearest_existing(folder: Path) -> Path:
    ancestor = folder.absolute()
    while not ancestor.exists():
        ancestor = ancestor.parent
    return ancestor
