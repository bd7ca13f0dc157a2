"""Steps of one training by one process, by two, and by two that each hold a half of the tables: time,
processor and memory, and what adding gradients up over gloo takes of it.

python -m benchmarks group [--users 20000 --items 5000 --events 15 --steps 10]

Drawing and stepping follow one another here, so that a process is busy on one core: two processes
on two cores beside one on one. A training draws beside stepping, and one process then has both
cores: there two processes can win only what is left of drawing.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.group_steps import measure
from benchmarks.record import record
from recsys.core.artefacts import read_json
from recsys.core.config.group import GroupConfig
from recsys.core.progress import QUIET
from recsys.train.launch import run_group
from recsys.train.ranks import ALONE

WAYS = {"one": (1, False), "two": (2, False), "two, tables in parts": (2, True)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--events", type=int, default=15, help="of a user")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--user-table", action="store_true")
    world = vars(parser.parse_args())
    figures: dict[str, Any] = {}
    for way, (workers, sharded) in WAYS.items():
        figures[way] = steps_of(workers, {**world, "sharded": sharded})
    record("group", figures, f"made-up communities: {world}")


def steps_of(workers: int, world: dict[str, Any]) -> list[dict[str, Any]]:
    """Figures of each process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if workers == 1:
            measure(ALONE, QUIET, world, folder)
        else:
            group = GroupConfig(workers=workers, restarts=0)
            run_group(measure, (world, folder), group, folder)
        return [read_json(folder / f"steps-{rank}.json") for rank in range(workers)]


if __name__ == "__main__":
    main()
