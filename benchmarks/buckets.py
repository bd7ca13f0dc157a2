"""The same log by buckets of users: in one process, in steps on this machine, and on Ray.

Ingest (duplicates, 5-core), the split at one moment and the lists of a made-up bundle, each side in
processes of its own. All sides must leave the same bytes. Processor seconds and memory (the peak of
the sum of proportional set sizes) are those of the whole process tree, sampled every half second; with
several --rows the growth of the processor time with the rows is given as an exponent.
"""

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.made_up import made_up
from benchmarks.record import record
from pipelines.where import somewhere
from recsys.core.artefacts import content_sha256
from recsys.core.config import CleanConfig, DataConfig, SplitConfig
from recsys.core.progress import QUIET
from recsys.core.steps import Steps
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.split_buckets import split_by_buckets
from recsys.logs.synthetic import large_log
from recsys.lookup.batch_buckets import Asked, write_parts
from recsys.releases.publish import write_bundle

CORE = 5
SIDES = ("embedded", "local", "ray")
_SECONDS_BETWEEN_LOOKS = 0.5


def main() -> None:
    arguments = _arguments()
    if arguments.side:
        run_side(arguments.side, arguments.folder, arguments.buckets)
        return
    sizes = {}
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory(prefix="recsys-bench-") as scratch:
            sizes[rows] = _measured(rows, Path(scratch), arguments)
    figures: dict[str, Any] = {"buckets": arguments.buckets, "rows": sizes}
    if len(sizes) > 1:
        figures["growth"] = {side: _exponent(sizes, side) for side in arguments.sides}
    record("buckets", figures, data="synthetic.large_log, made-up bundles", seed=arguments.seed)


def run_side(side: str, folder: Path, buckets: int) -> None:
    """Ingest, split and lists of one side, each into a folder named after it."""
    out = folder / side
    runner = None if side == "embedded" else side
    split = SplitConfig()
    with somewhere(runner, buckets=buckets) as where:

        def steps(name: str) -> Steps | None:
            if not where.lasts:
                return None
            return Steps(out / f".{name}", where.runner, lasts=True)

        clean = CleanConfig(min_user_interactions=CORE, min_item_interactions=CORE)
        log = str(folder / "log")
        ingest(log, DataConfig(), clean, out / "log", buckets=buckets, steps=steps("ingest"))
        coded = load_log(out / "log")
        split_steps = steps("split")
        (out / "split").mkdir()
        if split_steps is None:
            split_log(coded, split, "interaction", 0).save(out / "split")
        else:
            split_by_buckets(
                out / "log", coded, split, "interaction", 0, "any", split_steps, out / "split"
            )
        [bundle] = (folder / "bundles").iterdir()
        asked = Asked(str(bundle), 20, True, 0.0)
        write_parts(asked, None, buckets, out / "lists", where.runner, QUIET)


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
        hashes[side] = {
            name: content_sha256(folder / side / name) for name in ("log", "split", "lists")
        }
        shutil.rmtree(folder / side)
        print(f"{rows:,} rows, {side}: {costs[side]}", flush=True)
    wanted = hashes[arguments.sides[0]]
    unlike = [side for side, found in hashes.items() if found != wanted]
    if unlike:
        raise SystemExit(f"{unlike} left other bytes than {arguments.sides[0]}: {hashes}")
    return {"same_bytes": True, **costs}


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


def _exponent(sizes: dict[int, dict[str, Any]], side: str) -> float:
    """Of the power of the rows that processor time grows with, from the smallest to the largest."""
    small, large = min(sizes), max(sizes)
    ratio = sizes[large][side]["processor_seconds"] / sizes[small][side]["processor_seconds"]
    return round(math.log(ratio) / math.log(large / small), 3)


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
