"""Signals: what behaviours, attributes, links and knowledge graphs add to the target behaviour
alone, log by log.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.accuracy.run import Place
from benchmarks.signals import outcome, page
from benchmarks.signals.run import run as run_variant
from benchmarks.signals.variants import LOGS, log
from recsys.core.errors import RecsysError

Data = Annotated[Path, typer.Option("--data", metavar="FOLDER", help="Holds <dataset>/*.parquet.")]
Cache = Annotated[
    Path, typer.Option("--cache", metavar="FOLDER", help="Ingested logs, lists and weights.")
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="All cores when absent.")]

CACHE = Path("runs/signals")
SEEDS = 3
app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.command()
def run(
    dataset: str,
    variant: str,
    data: Data,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    cache: Cache = CACHE,
    threads: Threads = None,
) -> None:
    """Run one variant of one log with one seed: heterogeneous, bipartite, alone-<relation>,
    discovery-<either>.
    """
    print(json.dumps(run_variant(dataset, variant, seed, Place(data, cache), threads), indent=1))


@app.command("all")
def everything(
    data: Data,
    only: Annotated[list[str] | None, typer.Option("--dataset", help="All when absent.")] = None,
    cache: Cache = CACHE,
    threads: Threads = None,
) -> None:
    """Every variant of every log with three seeds; then results.json and the page."""
    for dataset in only or LOGS:
        for variant in log(dataset).variants:
            for seed in range(SEEDS):
                _in_its_own_process(dataset, variant, seed, data, cache, threads)
    write_page(data, cache)


@app.command("page")
def write_page(data: Data, cache: Cache = CACHE) -> None:
    """Write results.json from what the runs left in the cache, and
    benchmarks/notes/signals-results.md from it.
    """
    outcome.write(Place(data, cache))
    print(page.write())


def _in_its_own_process(
    dataset: str, variant: str, seed: int, data: Path, cache: Path, threads: int | None
) -> None:
    """A run whose peak memory is its own. One that fails is told, and the others go on."""
    command = [sys.executable, "-m", "benchmarks", "signals", "run", dataset, variant]
    options = {"--data": data, "--cache": cache, "--seed": seed, "--threads": threads}
    command += [str(part) for pair in options.items() if pair[1] is not None for part in pair]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        print(f"{variant} on {dataset} with seed {seed} failed", file=sys.stderr)


if __name__ == "__main__":
    try:
        app()
    except RecsysError as error:
        sys.exit(f"error: {error}")
