"""Accuracy: one command a row, and the pages that show the figures of
benchmarks/accuracy/results.json.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.accuracy import attention, attention_page, compare, kept, page, results
from benchmarks.accuracy.arenas import ARENA, TRAIN_ONLY
from benchmarks.accuracy.data import SETS
from benchmarks.accuracy.epoch_log import as_result, best_on_test
from benchmarks.accuracy.epoch_speed import epoch_beside
from benchmarks.accuracy.rows import ABLATION, Row, row, rows
from benchmarks.accuracy.run import Place, log_path
from benchmarks.accuracy.run import run as run_row
from benchmarks.accuracy.speed import of_ours, of_peer
from benchmarks.record import record
from recsys.core.errors import RecsysError, UsageError, nearest

RowName = Annotated[str, typer.Argument(metavar="ROW")]
Dataset = Annotated[str, typer.Argument(metavar="DATASET")]
Data = Annotated[Path, typer.Option("--data", metavar="FOLDER", help="Holds <dataset>/*.parquet.")]
Cache = Annotated[
    Path, typer.Option("--cache", metavar="FOLDER", help="Ingested logs, lists and weights.")
]
Seed = Annotated[int, typer.Option("--seed", min=0)]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="All cores when absent.")]
Peers = Annotated[
    Path | None, typer.Option("--peers", metavar="FOLDER", help="Of the peers' environments.")
]

CACHE = Path("runs/accuracy")
app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.command()
def run(
    name: RowName,
    dataset: Dataset,
    data: Data,
    seed: Seed = 0,
    cache: Cache = CACHE,
    threads: Threads = None,
    log_test: Annotated[
        bool, typer.Option("--log-test", help="Log every epoch's test metrics, for nobody.")
    ] = False,
    peers: Peers = None,
) -> None:
    """Run one row on one dataset with one seed, and keep its figures."""
    _known(dataset)
    found = run_row(row(name), dataset, seed, Place(data, cache, peers), threads, log_test)
    print(json.dumps(found, indent=1))


@app.command("from-log")
def from_log(name: RowName, dataset: Dataset, seed: Seed = 0) -> None:
    """Add the test-selected value, as papers report it, read from the log of a run with --log-test."""
    line = best_on_test(log_path(name, dataset, seed))
    wanted = (dataset, name, seed, "validation")
    chosen = [one for one in results.read() if results.key(one) == wanted]
    if not chosen:
        raise UsageError(
            f"no result of {name!r} on {dataset} with seed {seed}",
            "Run the row with --log-test first",
        )
    results.add(as_result(chosen[0], line))


@app.command()
def ablation(
    dataset: Dataset,
    data: Data,
    lever: Annotated[
        list[str] | None, typer.Option("--lever", help="By name; all when absent.")
    ] = None,
    seed: Seed = 0,
    cache: Cache = CACHE,
    threads: Threads = None,
) -> None:
    """Run the bases and every lever of ablation.toml and ablation_history.toml, each in a process of
    its own.
    """
    names = (
        [ABLATION + one for one in lever]
        if lever
        else [name for name in rows() if name.startswith(ABLATION)]
    )
    for name in names:
        row(name)
        _in_its_own_process(name, dataset, seed, data, cache, threads, None)


@app.command("all")
def everything(
    data: Data,
    only: Annotated[
        list[str] | None, typer.Option("--dataset", help="All that rows name when absent.")
    ] = None,
    cache: Cache = CACHE,
    threads: Threads = None,
    peers: Peers = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask after saying what it costs.")
    ] = False,
) -> None:
    """Every row on every dataset it names, with every seed; then the page. Says first what that
    costs.
    """
    for dataset in only or []:
        _known(dataset)
    wanted: list[tuple[Row, str, int]] = []
    for one in rows().values():
        for dataset in one.datasets:
            if only is None or dataset in only:
                wanted += [(one, dataset, seed) for seed in range(one.seeds)]
    print(cost(wanted, results.read()))
    if not yes:
        typer.confirm("Go on?", abort=True)
    for one, dataset, seed in wanted:
        if one.script and peers is None:
            print(f"{one.name} left out: no --peers", file=sys.stderr)
            continue
        _in_its_own_process(one.name, dataset, seed, data, cache, threads, peers)
    compare_all(cache)
    write_page()


def cost(wanted: list[tuple[Row, str, int]], known: list[results.Result]) -> str:
    """What the runs took when they were last measured."""
    seconds = {results.key(one)[:3]: one["seconds"] for one in known}
    found = [
        seconds[key]
        for one, dataset, seed in wanted
        if (key := (dataset, one.name, seed)) in seconds
    ]
    return (
        f"{len(wanted)} runs. {len(found)} of them were measured and took {sum(found) / 3600:.1f} h together; "
        f"{len(wanted) - len(found)} were never measured."
    )


@app.command("compare")
def compare_rows(
    name: RowName,
    other: Annotated[str, typer.Argument(metavar="OTHER")],
    dataset: Dataset,
    cache: Cache = CACHE,
) -> None:
    """ROW minus OTHER on DATASET, paired by user, from what their runs left in the cache."""
    entries = compare.compare(cache / dataset, dataset, name, other)
    compare.add(entries)
    print(json.dumps(entries, indent=1))


@app.command("compare-all")
def compare_all(cache: Cache = CACHE) -> None:
    """Default, tuned and arena minus every baseline, arena minus every peer, and attention minus
    its twins, on every dataset where both were run.
    """
    pairs = [
        ("vectors", "gamma0"),
        ("default", "vectors"),
        ("tuned", "default"),
        (ARENA, "arena-gamma0"),
        (ARENA, TRAIN_ONLY),
    ]
    pairs += [(attention_page.ROW, twin) for twin in attention_page.TWINS]
    for name, one in rows().items():
        if one.baseline:
            pairs += [("default", name), ("tuned", name)]
        if one.baseline or one.script:
            pairs.append((ARENA, name))
    for name, other in pairs:
        for dataset in SETS:
            if all(kept.seeds(cache / dataset, one) for one in (name, other)):
                compare.add(compare.compare(cache / dataset, dataset, name, other))


@app.command("attention")
def attention_facts(
    name: RowName,
    twins: Annotated[str, typer.Argument(metavar="TWIN[,TWIN]")],
    dataset: Dataset,
    data: Data,
    seed: Seed = 0,
    cache: Cache = CACHE,
) -> None:
    """What attention does in a trained row: what it learnt and looks at, and where it helps beside
    its twins, from what their runs left in the cache.
    """
    _known(dataset)
    twin_rows = [row(twin) for twin in twins.split(",")]
    attention.add(attention.measure(row(name), twin_rows, dataset, seed, Place(data, cache)))
    for twin in twin_rows:
        compare.add(compare.compare(cache / dataset, dataset, name, twin.name))


@app.command()
def speed(
    peer: Annotated[str, typer.Argument(metavar="PEER_ROW")],
    dataset: Dataset,
    data: Data,
    peers: Peers,
    ours: Annotated[
        str | None,
        typer.Option("--row", help="Ours, run with --log-test; the peer alone if absent."),
    ] = None,
    seed: Seed = 0,
    recall: Annotated[
        float, typer.Option(help="Test Recall@20 to reach, the peer's published one.")
    ] = 0.183,
    batches: Annotated[
        int, typer.Option(help="Of the peer, measured; the rest is extrapolated.")
    ] = 20,
    cache: Cache = CACHE,
) -> None:
    """Time to a published Recall@20: of a peer by its published number of epochs, of our row as its
    log says.
    """
    figures = {
        "recall@20": recall,
        "peer": peer,
        "theirs": of_peer(row(peer), dataset, Place(data, cache, peers), batches),
    }
    if ours:
        figures |= {"row": ours, "ours": of_ours(row(ours), dataset, seed, recall)}
    record(f"speed_{dataset}_{peer.partition(':')[2]}", figures, dataset, seed)


@app.command()
def epoch(
    peer: Annotated[str, typer.Argument(metavar="PEER_ROW")],
    dataset: Dataset,
    data: Data,
    peers: Peers,
    ours: Annotated[str, typer.Option("--row", help="Ours.")] = "default",
    batches: Annotated[
        int, typer.Option(help="Of the peer, measured; the rest is extrapolated.")
    ] = 20,
    cache: Cache = CACHE,
    threads: Threads = None,
) -> None:
    """Processor seconds of an epoch of ours and of a peer, on the same pairs: planted-1m, planted-5m
    or any log.
    """
    _known(dataset)
    place = Place(data, cache, peers)
    figures = epoch_beside(row(ours), row(peer), dataset, place, batches, threads)
    record(f"epoch_{dataset}_{peer.partition(':')[2]}", figures, dataset)


@app.command("page")
def write_page() -> None:
    """Write benchmarks/notes/accuracy.md and benchmarks/notes/attention.md from the figures that
    are kept.
    """
    for path in page.write():
        print(path)


def _in_its_own_process(
    name: str,
    dataset: str,
    seed: int,
    data: Path,
    cache: Path,
    threads: int | None,
    peers: Path | None,
) -> None:
    """A run whose peak memory is its own. One that fails is told, and the others go on."""
    command = [sys.executable, "-m", "benchmarks", "accuracy", "run", name, dataset]
    options = {
        "--data": data,
        "--cache": cache,
        "--seed": seed,
        "--threads": threads,
        "--peers": peers,
    }
    command += [str(part) for pair in options.items() if pair[1] is not None for part in pair]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        print(f"{name} on {dataset} with seed {seed} failed", file=sys.stderr)


def _known(dataset: str) -> None:
    if dataset not in SETS:
        raise UsageError(
            f"unknown dataset {dataset!r}", nearest(dataset, SETS) or f"Known: {', '.join(SETS)}"
        )


if __name__ == "__main__":
    try:
        app()
    except RecsysError as error:
        sys.exit(f"error: {error}")
