"""Growth: one training to its best epoch on planted logs of 0.1 to 20 million rows, beside
`implicit` ALS on the same pairs.

python -m benchmarks scale [--rows 100000 500000 …] [--set section.key=value …] [--peers FOLDER]

Every size runs in processes of its own: one draws and ingests the log, one trains. Processor
seconds and peak memory are those of training alone, validation included. What the vectors are worth
is told beside the oracle that knows the topics (`benchmarks/planted.py`): NDCG@10 of 5,000 users on
the test, trained on train alone. ALS gets the pairs that ours is trained on, 64 factors and 15
iterations, on as many threads. Sizes measured before stay in benchmarks/results/scale.json.

With --work FOLDER a size that was ended goes on behind the epoch it had come to: the log, the
checkpoint and the seconds spent lie in FOLDER/ROWS until the size is measured.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.foreign import fit_peer, internal_pairs, peer_python
from benchmarks.accuracy.lists import lists_on_test
from benchmarks.accuracy.rows import row
from benchmarks.planted import Oracle, Truth, draw_log, draw_truth, shape_of
from benchmarks.record import commit, record, recorded
from recsys.closed_form.popularity import fit_popularity
from recsys.core.config import RunConfig, with_overrides
from recsys.core.errors import RecsysError, UsageError
from recsys.core.machine import peak_memory_bytes
from recsys.core.progress import Quiet
from recsys.core.ranking import Scorer
from recsys.evaluate.metrics import evenly, rank_metrics
from recsys.fitting.fit import fit_phase
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.phases.phase import Phase
from recsys.search.exact import VectorScorer
from recsys.train.checkpoint import EpochRecord

ROWS = (100_000, 500_000, 1_000_000, 5_000_000, 20_000_000)
JUDGED_USERS = 5_000
K = 10
ALS = row("peer:implicit-als-64")
_LOG, _TRUTH, _PAIRS = "log.parquet", "truth.npz", "pairs.parquet"


def main() -> None:
    arguments = _arguments()
    if arguments.stage:
        stage = prepare if arguments.stage == "prepare" else train
        print(json.dumps(stage(arguments)))
        return
    if len(arguments.rows) > 1 and (arguments.users or arguments.items):
        raise UsageError(
            "--users and --items are of one size", "Give one number of --rows with them"
        )
    sizes: dict[str, dict[str, Any]] = recorded("scale").get("sizes", {})
    for rows in arguments.rows:
        sizes[str(rows)] = measure(rows, arguments)
        ordered = {key: sizes[key] for key in sorted(sizes, key=int)}
        record("scale", figures(ordered), "planted topics", arguments.seed)


def figures(sizes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All sizes by number of rows, and how their cost grows."""
    document: dict[str, Any] = {"sizes": sizes}
    if len(sizes) > 1:
        rows = [int(key) for key in sizes]
        entries = list(sizes.values())
        to_best = [entry["cpu_seconds_to_best"] for entry in entries]
        epoch = [entry["cpu_seconds_an_epoch"] for entry in entries]
        document["growth_exponent_to_best"] = growth_exponent(rows, to_best)
        document["growth_exponent_an_epoch"] = growth_exponent(rows, epoch)
    return document


def growth_exponent(rows: Sequence[float], seconds: Sequence[float]) -> float:
    """b of the least-squares fit log(seconds) = a + b · log(rows)."""
    slope = np.polyfit(np.log(rows), np.log(seconds), 1)[0]
    return round(float(slope), 3)


def measure(rows: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One size: drawn, trained and set beside ALS, each in a process of its own."""
    users, items = shape_of(rows)
    users = arguments.users or users
    items = arguments.items or items
    entry: dict[str, Any] = {"users": users, "items": items}
    with _folder(rows, arguments) as folder:
        entry["ingest"] = _stage("prepare", rows, users, items, folder, arguments)
        entry |= _stage("train", rows, users, items, folder, arguments)
        als = _als(folder, arguments)
    entry |= {
        "set": list(arguments.set),
        "seed": arguments.seed,
        "threads": arguments.threads,
        "commit": commit(),
    }
    if als is not None:
        ratio = entry["cpu_seconds_to_best"] / max(als["cpu_seconds"], 0.1)
        entry |= {"als": als, "times_als": round(ratio, 2)}
    return entry


@contextmanager
def _folder(rows: int, arguments: argparse.Namespace) -> Iterator[Path]:
    """Of a size; removed when it is measured, or, where nothing is to be gone on with, at any end."""
    if arguments.work is None:
        with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
            yield Path(temporary)
        return
    folder = arguments.work / str(rows)
    folder.mkdir(parents=True, exist_ok=True)
    # A folder of other settings holds another log, or seconds of another training.
    made_with = json.dumps([arguments.users, arguments.items, arguments.seed, arguments.set])
    card = folder / "made_with.json"
    if card.exists() and card.read_text() != made_with:
        raise UsageError(f"{folder} is of {card.read_text()}", "Remove it, or give another --work")
    card.write_text(made_with)
    yield folder
    shutil.rmtree(folder)


def prepare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Draw the log and its truth, and ingest it."""
    folder = Path(arguments.folder)
    done = folder / "prepared.json"
    if done.exists():
        facts: dict[str, Any] = json.loads(done.read_text())
        return facts
    [rows] = arguments.rows
    truth = draw_truth(arguments.users, arguments.items, arguments.seed)
    truth.save(folder / _TRUTH)
    draw_log(truth, rows, arguments.seed).write_parquet(folder / _LOG)
    config = _config(arguments)
    began = time.process_time()
    report = ingest(str(folder / _LOG), config.data, config.clean, folder / "log")
    spent = round(time.process_time() - began, 1)
    facts = {"cpu_seconds": spent, "rows_kept": report.rows_kept, "peak_mb": _peak_mb()}
    done.write_text(json.dumps(facts))
    return facts


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train on the train rows until validation stops it; cost, and what the vectors are worth."""
    folder = Path(arguments.folder)
    config = _config(arguments)
    log = load_log(folder / "log")
    target = config.graph.target or log.behaviors[0]
    splits = split_log(log, config.split, target, config.seed)
    select = Phase("select", log, splits, config)
    began = time.process_time()
    graph = select.graph
    graph_seconds = time.process_time() - began

    meter = Meter(folder / "spent.json")
    trained = fit_phase(
        select, graph, config.model, folder / "checkpoint", watch=meter.note, progress=Told()
    )
    spent = meter.spent
    peak_mb = _peak_mb()
    internal_pairs(select.interactions, select.target).write_parquet(folder / _PAIRS)
    vectors = VectorScorer(trained.embeddings.users, trained.embeddings.items)
    truth = Truth.load(folder / _TRUTH)
    return {
        "pairs": int(select.interactions.matrix((select.target,)).nnz),
        "config": config.model_dump(
            mode="json", exclude_defaults=True, exclude={"data", "seed", "threads"}
        ),
        "graph_cpu_seconds": round(graph_seconds, 1),
        "epochs": len(spent),
        "best_epoch": trained.best_epoch,
        "stopped": trained.stopped,
        "mode": trained.plan.mode,
        "cpu_seconds_to_best": round(spent[trained.best_epoch - 1], 2),
        "cpu_seconds": round(spent[-1], 2),
        "cpu_seconds_an_epoch": round(_an_epoch(spent), 2),
        "peak_mb": peak_mb,
        "ndcg@10": ndcg_on_test(vectors, select, truth),
    }


def ndcg_on_test(model: Scorer, select: Phase, truth: Truth) -> dict[str, float]:
    """NDCG@10 of the model, of popularity and of the oracle, all in the ids of `select`."""
    scorers: dict[str, Scorer] = {
        "model": model,
        "popularity": fit_popularity(select.interactions, select.target),
        "oracle": Oracle(truth, select.interactions),
    }
    final = Phase("final", select.log, select.splits, select.config)
    judge = final.judge
    users = evenly(judge.held_out_users, JUDGED_USERS)
    values: dict[str, float] = {}
    for name, scorer in scorers.items():
        lists = lists_on_test(scorer, select, final, K, users)
        ranking = rank_metrics(lists, users, judge.held_out_matrix, [K])
        values[name] = round(ranking.overall[f"ndcg@{K}"], 5)
    return values


class Meter:
    """Processor seconds from the start of a training to the end of each epoch, as they are without
    a break: an epoch that an earlier process had come to counts once.
    """

    def __init__(self, file: Path) -> None:
        self.spent: list[float] = json.loads(file.read_text()) if file.exists() else []
        self._file = file
        self._last = time.process_time()

    def note(self, epoch: EpochRecord) -> None:
        """Called for each epoch, those before a break first."""
        now = time.process_time()
        if epoch.epoch > len(self.spent):
            before = self.spent[-1] if self.spent else 0.0
            self.spent.append(before + now - self._last)
            self._file.write_text(json.dumps(self.spent))
        self._last = now


class Told(Quiet):
    """What a training says, on standard error: standard output has the figures."""

    def say(self, message: str, **fields: object) -> None:
        print(message, file=sys.stderr, flush=True)


def _an_epoch(spent: list[float]) -> float:
    """Processor seconds of an epoch and its validation; what comes before the first counts in it."""
    if len(spent) == 1:
        return spent[0]
    return (spent[-1] - spent[0]) / (len(spent) - 1)


def _als(folder: Path, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """What `implicit` takes for the same pairs; None where no environment was given."""
    if arguments.peers is None:
        print("implicit ALS left out: no --peers", file=sys.stderr)
        return None
    settings = ALS.settings | {"random_state": arguments.seed, "num_threads": arguments.threads}
    return fit_peer(ALS, peer_python(ALS, arguments.peers), folder / _PAIRS, settings)


def _config(arguments: argparse.Namespace) -> RunConfig:
    raw = {"seed": arguments.seed, "threads": arguments.threads}
    return with_overrides(raw, arguments.set)


def _stage(
    stage: str, rows: int, users: int, items: int, folder: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    """The figures of one stage, run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--stage", stage]
    command += ["--folder", str(folder)]
    command += ["--rows", str(rows), "--users", str(users), "--items", str(items)]
    command += ["--seed", str(arguments.seed), "--threads", str(arguments.threads)]
    for override in arguments.set:
        command += ["--set", override]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).parents[1],
    )
    stage_figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return stage_figures


def _peak_mb() -> int:
    return peak_memory_bytes() // 2**20


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--users", type=int, help="by the number of rows when absent")
    parser.add_argument("--items", type=int, help="by the number of rows when absent")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments")
    parser.add_argument("--work", type=Path, help="where logs are drawn and kept till measured")
    parser.add_argument("--stage", choices=("prepare", "train"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except RecsysError as error:
        sys.exit(f"error: {error}")
