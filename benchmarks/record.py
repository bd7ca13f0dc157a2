"""Where benchmark figures are kept: benchmarks/results/<name>.json, with the command, machine,
versions and commit.
"""

import json
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from recsys.core.machine import cores, versions

RESULTS = Path(__file__).parent / "results"


def record(name: str, figures: dict[str, Any], data: str, seed: int = 0) -> Path:
    """Write the figures of one benchmark and print them."""
    document = {
        "name": name,
        "figures": figures,
        "data": data,
        "seed": seed,
        "command": shlex.join(
            [
                "python",
                "-m",
                "benchmarks",
                *map(_without_folder, [Path(sys.argv[0]).stem, *sys.argv[1:]]),
            ]
        ),
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "processor": _processor(),
            "cores": cores(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "system": platform.system(),
        },
        "versions": versions(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))
    return path


def recorded(name: str) -> dict[str, Any]:
    """The figures of one benchmark that were measured before; none where it never ran."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return {}
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return figures


def _without_folder(argument: str) -> str:
    """`name=/some/where/data` → `name=data`: where data lies on one machine says nothing to
    another.
    """
    head, equals, path = argument.rpartition("=")
    return f"{head}{equals}{Path(path).name}" if "/" in path else argument


def commit() -> str:
    """Short hash of the commit that is checked out."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
