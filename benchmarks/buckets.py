"""The same log by buckets of users: in one process, in steps on this machine, and on Ray.

Ingest (duplicates, 5-core), the split at one moment and the lists of a made-up bundle, each side in
processes of its own. All sides must leave the same bytes. Processor seconds and memory (the peak of
the sum of proportional set sizes) are those of the whole process tree, sampled every half second; with
several sizes the growth of the processor time with the rows is given as an exponent; sizes and sides
that were measured before stay in benchmarks/results/buckets.json. Of the side that
goes by steps in one process, `steps` tells what each step took of it and the bytes that its calls left,
and `led` the processor seconds of each stage between its steps.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from benchmarks.made_up import made_up
from benchmarks.record import record, recorded
from pipelines.where import somewhere
from recsys.core.artefacts import content_sha256
from recsys.core.config import CleanConfig, DataConfig, SplitConfig
from recsys.core.progress import QUIET
from recsys.core.runners import Result, Runner, Task
from recsys.core.steps import Call, Steps
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.split_buckets import split_by_buckets
from recsys.logs.synthetic import large_log
from recsys.lookup.batch_buckets import Asked, write_parts
from recsys.releases.publish import write_bundle

CORE = 5
SIDES = ("embedded", "local", "ray")
STEPS = "steps.json"
_SECONDS_BETWEEN_LOOKS = 0.5


def main() -> None:
    arguments = _arguments()
    if arguments.side:
        run_side(arguments.side, arguments.folder, arguments.buckets)
        return
    sizes: dict[str, dict[str, Any]] = recorded("buckets").get("rows", {})
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory(prefix="recsys-bench-") as scratch:
            measured = _measured(rows, Path(scratch), arguments)
        sizes[str(rows)] = sizes.get(str(rows), {}) | measured
        figures = {"rows": sizes, "growth": _growth(sizes)}
        record("buckets", figures, data="synthetic.large_log, made-up bundles", seed=arguments.seed)


def run_side(side: str, folder: Path, buckets: int) -> None:
    """Ingest, split and lists of one side, each into a folder named after it."""
    out = folder / side
    runner = None if side == "embedded" else side
    split = SplitConfig()
    with somewhere(runner, buckets=buckets) as where:
        metered = Metered(where.runner)

        def steps(name: str) -> Steps | None:
            if not where.lasts:
                return None
            return Steps(out / f".{name}", metered, lasts=True)

        clean = CleanConfig(min_user_interactions=CORE, min_item_interactions=CORE)
        log = str(folder / "log")
        with metered.stage("ingest"):
            ingest(log, DataConfig(), clean, out / "log", buckets=buckets, steps=steps("ingest"))
        coded = load_log(out / "log")
        split_steps = steps("split")
        (out / "split").mkdir()
        with metered.stage("split"):
            if split_steps is None:
                split_log(coded, split, "interaction", 0).save(out / "split")
            else:
                split_by_buckets(
                    out / "log", coded, split, "interaction", 0, "any", split_steps, out / "split"
                )
        [bundle] = (folder / "bundles").iterdir()
        asked = Asked(str(bundle), 20, True, 0.0)
        with metered.stage("lists"):
            write_parts(asked, None, buckets, out / "lists", metered, QUIET)
    if side == "local":
        num_rows = int(coded.rows.select(pl.len()).collect().item())
        figures = {"rows_kept": num_rows, "steps": metered.steps, "led": metered.led}
        (out / STEPS).write_text(json.dumps(figures), encoding="utf-8")


class Metered:
    """A runner whose calls are told apart: processor seconds of this process, in which they run.

    steps: by "stage step", seconds and the bytes that its calls left.
    led: by stage, seconds between its steps.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._stage = ""
        self.steps: dict[str, dict[str, float]] = {}
        self.led: dict[str, float] = {}

    @property
    def is_remote(self) -> bool:
        return self._runner.is_remote

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage, whose steps run until the block ends."""
        self._stage = name
        start = time.process_time()
        yield
        in_steps = sum(
            figures["processor_seconds"]
            for step, figures in self.steps.items()
            if step.startswith(f"{name} ")
        )
        self.led[name] = round(time.process_time() - start - in_steps, 2)

    def map(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], memory_bytes: int = 0
    ) -> list[Result]:
        start = time.process_time()
        results = self._runner.map(function, tasks, memory_bytes)
        seconds = time.process_time() - start
        calls = [task for task in tasks if isinstance(task, Call)]
        for call in calls:
            # "exchange 17": the step and the number of the call
            step = f"{self._stage} {call.name.rpartition(' ')[0]}"
            figures = self.steps.setdefault(step, {"processor_seconds": 0.0, "bytes": 0})
            figures["processor_seconds"] += seconds / len(calls)
            figures["bytes"] += sum(file.stat().st_size for file in call.out.iterdir())
        return results


def _measured(rows: int, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    large_log(folder / "log", rows, rows // 10, rows // 100, files=8, seed=arguments.seed)
    size = argparse.Namespace(
        users=rows // 100, items=10_000, pairs=rows // 10, width=64, seed=arguments.seed
    )
    write_bundle(folder / "bundles", made_up(size))
    costs = {}
    hashes = {}
    for side in arguments.sides:
        costs[side] = _cost(side, folder, arguments.buckets)
        if side == "local":
            costs[side] |= json.loads((folder / side / STEPS).read_text(encoding="utf-8"))
        hashes[side] = {
            name: content_sha256(folder / side / name) for name in ("log", "split", "lists")
        }
        shutil.rmtree(folder / side)
        print(f"{rows:,} rows, {side}: {costs[side]}", flush=True)
    wanted = hashes[arguments.sides[0]]
    unlike = [side for side, found in hashes.items() if found != wanted]
    if unlike:
        raise SystemExit(f"{unlike} left other bytes than {arguments.sides[0]}: {hashes}")
    return {"buckets": arguments.buckets, "same_bytes": True, **costs}


def _cost(side: str, folder: Path, buckets: int) -> dict[str, float]:
    """Of a side in processes of its own."""
    command = [sys.executable, "-m", "benchmarks.buckets", "--side", side]
    command += ["--folder", str(folder), "--buckets", str(buckets)]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1])
    tree = psutil.Process(process.pid)
    processor: dict[int, float] = {}
    peak = 0
    while process.poll() is None:
        memory = 0
        for member in _members(tree):
            try:
                times = member.cpu_times()
                processor[member.pid] = times.user + times.system
                memory += member.memory_full_info().pss
            except psutil.Error:
                continue
        peak = max(peak, memory)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    if process.returncode:
        raise SystemExit(f"{side} ended with {process.returncode}")
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "processor_seconds": round(sum(processor.values()), 1),
        "peak_gb": round(peak / 1e9, 2),
    }


def _members(tree: psutil.Process) -> list[psutil.Process]:
    try:
        return [tree, *tree.children(recursive=True)]
    except psutil.Error:
        return []


def _growth(sizes: dict[str, dict[str, Any]]) -> dict[str, float]:
    """By side, the power of the rows that processor time grows with, from the smallest to the largest
    log that it was measured on.
    """
    exponents = {}
    for side in SIDES:
        measured = sorted(int(rows) for rows, figures in sizes.items() if side in figures)
        if len(measured) > 1:
            small, large = measured[0], measured[-1]
            seconds = [sizes[str(rows)][side]["processor_seconds"] for rows in (small, large)]
            exponents[side] = round(math.log(seconds[1] / seconds[0]) / math.log(large / small), 3)
    return exponents


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 20_000_000])
    parser.add_argument("--buckets", type=int, default=8)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
