"""The HTTP service: requests per second against a constant answer, latency, reloads, start and
memory.

    python -m benchmarks serving [--rounds 3] [--seconds 4] [--connections 64] [--parts
    load,own,start,memory,cornac]
        [--peers PYTHON]

Made-up bundles; the load comes from a second process (`http_load`), nothing is cached or computed
ahead. load: GET /v1/recommend on a bundle of Gowalla's size and a path of the same server that
returns constant JSON of the same size take turns; then p50 and p99 at half of the largest load,
quiet and while the bundle is loaded and swapped without a pause. own: the same, and with reasons, on
the bundle of a run (--bundle runs/demo/bundle). processor_*: time of the server's
process, which other work on the machine disturbs less than the clock. start: from the call to the
first ready answer. memory: resident size after 200 lists and one of every other kind of question,
against the arrays and the index of the bundle. cornac: its own server (Flask, as its manual starts
it) in turns with ours, same machine, users, items, width and k, seen items left out; PYTHON is an
interpreter that has cornac and flask.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.made_up import made_up
from benchmarks.record import record
from recsys.bundle.bundle import Bundle
from recsys.releases.publish import write_bundle

CLIENT = Path(__file__).with_name("http_load.py")
GOWALLA = {"users": 29_858, "items": 40_981, "pairs": 810_128, "width": 64}
SHOP = {"users": 100_000, "items": 100_000, "pairs": 1_000_000, "width": 64}
LARGE = {"users": 10_000, "items": 1_000_000, "pairs": 1_000_000, "width": 128}
SERVER = """
import sys
from pathlib import Path
import uvicorn
from fastapi import Response
from serving.app import make_app
from serving.server import listening
from serving.settings import Settings
settings = Settings(Path(sys.argv[1]), port=int(sys.argv[2]))
app = make_app(settings)
body = b'{"items":"' + b"x" * (int(sys.argv[3]) - 12) + b'"}'
async def constant() -> Response:
    return Response(body, media_type="application/json")
app.app.app.app.add_api_route("/constant", constant)
uvicorn.run(app, **listening(settings))
"""


CORNAC = """
import sys
from pathlib import Path
import numpy as np
from cornac.data import Dataset
from cornac.models import MF
folder, users, items, pairs, width = sys.argv[1], *map(int, sys.argv[2:])
rng = np.random.default_rng(0)
user, item = np.divmod(np.unique(rng.integers(0, users * items, pairs)), items)
rows = [(f"user-{u:06}", f"item-{i:06}", 1.0) for u, i in zip(user.tolist(), item.tolist())]
log = Dataset.from_uir(rows)
model = MF(k=width, max_iter=1, num_threads=1, seed=0)
model.fit(log)
print(model.save(folder, save_trainset=True), end="")
"""


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = {"rounds": 3, "seconds": 4, "connections": 64, "seed": 0}
    for name, value in numbers.items():
        options.add_argument(f"--{name}", type=int, default=value)
    options.add_argument("--parts", default="load,start,memory")
    options.add_argument("--peers", default=sys.executable)
    options.add_argument("--bundle", type=Path, help="of a run, for the part own")
    given = options.parse_args()
    measures = {"load": load, "own": own, "start": start, "memory": memory, "cornac": cornac}
    figures: dict[str, Any] = {"machine_load_before": round(os.getloadavg()[0], 1)}
    for part in given.parts.split(","):
        figures |= {f"{part}_{name}": value for name, value in measures[part](given).items()}
    settings = {
        name: value for name, value in vars(given).items() if name not in ("peers", "bundle")
    }
    record("serving", figures | settings, "made-up bundles", given.seed)


def load(given: argparse.Namespace) -> dict[str, Any]:
    """Ours against the constant, in turns; then half of the largest load, with and without reloads."""
    paths = [f"/v1/recommend/user-{place * 7 % GOWALLA['users']:06}?k=10" for place in range(2000)]
    with (
        bundle(GOWALLA, given.seed) as path,
        server(path, answer_bytes(path, paths)) as (port, process),
    ):
        sides = {"constant": ["/constant"], "recommend": paths}
        found = in_turns(given, process, port, sides)
        most = {name: median(rounds, "requests_per_second") for name, rounds in found.items()}
        half = most["recommend"] / 2
        found |= {"quiet": [], "reloading": []}
        for _ in range(given.rounds):
            found["quiet"].append(
                measured(process, port, given.seconds, given.connections, half, paths)
            )
            with reloading(port) as reloads:
                found["reloading"].append(
                    measured(process, port, given.seconds, given.connections, half, paths)
                )
    times = {name: median(found[name], "processor_ms") for name in sides}
    quiet = {
        name: median(found["quiet"], name) for name in ("requests_per_second", "p50_ms", "p99_ms")
    }
    return {
        **{f"{name}_per_second": round(value) for name, value in most.items()},
        "ratio_to_constant": round(most["recommend"] / most["constant"], 3),
        **{f"{name}_processor_ms": round(value, 3) for name, value in times.items()},
        "half": {name: round(value, 2) for name, value in quiet.items()},
        "p99_over_p50_at_half": round(quiet["p99_ms"] / quiet["p50_ms"], 1),
        "p99_while_reloading_over_quiet": round(median(found["reloading"], "p99_ms") / quiet["p99_ms"], 2),
        "seconds_of_a_reload": round(statistics.median(reloads), 2),
        "failed": int(sum(one["failed"] for rounds in found.values() for one in rounds)),
    }  # fmt: skip


def own(given: argparse.Namespace) -> dict[str, Any]:
    """A bundle of a run: lists, and lists with reasons, against the constant in turns."""
    made = Bundle.load(given.bundle.resolve(), verify=False)
    users = made.users.ids.head(2000).to_list()
    paths = [f"/v1/recommend/{user}?k=10" for user in users]
    with server(given.bundle, answer_bytes(given.bundle, paths)) as (port, process):
        sides = {
            "constant": ["/constant"],
            "recommend": paths,
            "explain": [f"{path}&explain=true" for path in paths],
        }
        found = in_turns(given, process, port, sides)
    most = {name: median(rounds, "requests_per_second") for name, rounds in found.items()}
    times = {name: median(rounds, "processor_ms") for name, rounds in found.items()}
    return {
        "items": len(made.items),
        "width": made.search_vectors.shape[1],
        **{f"{name}_per_second": round(value) for name, value in most.items()},
        **{f"{name}_processor_ms": round(value, 3) for name, value in times.items()},
        "ratio_to_constant": round(most["recommend"] / most["constant"], 3),
        "reasons_over_list": round(times["explain"] / times["recommend"], 2),
        "failed": int(sum(one["failed"] for rounds in found.values() for one in rounds)),
    }


def start(given: argparse.Namespace) -> dict[str, Any]:
    seconds, processor = [], []
    with bundle(SHOP, given.seed) as path:
        for _ in range(given.rounds):
            began = time.perf_counter()
            with server(path, 100) as (_, process):
                seconds.append(time.perf_counter() - began)
                processor.append(sum(process.cpu_times()[:2]))
    return {
        "seconds_to_ready": round(statistics.median(seconds), 2),
        "processor_seconds": round(statistics.median(processor), 2),
        "items": SHOP["items"],
    }


def memory(given: argparse.Namespace) -> dict[str, Any]:
    with bundle(LARGE, given.seed) as path, server(path, 100) as (port, process):
        arrays = sum(
            file.stat().st_size
            for file in path.iterdir()
            if file.suffix in (".npy", ".faiss", ".safetensors")
        )
        for place in range(200):
            ask(port, f"/v1/recommend/user-{place:06}?k=10")
        for path_of_all in (
            "/v1/similar/item-000001",
            "/v1/explain?user=user-000001&item=item-000001",
            "/v1/items?text=77",
        ):
            ask(port, path_of_all)
        resident = process.memory_info().rss
    return {
        "items": LARGE["items"],
        "arrays_megabytes": round(arrays / 1e6),
        "resident_megabytes": round(resident / 1e6),
        "resident_over_arrays": round(resident / arrays, 3),
    }


def cornac(given: argparse.Namespace) -> dict[str, Any]:
    """Requests per second of both servers, in turns."""
    users = [f"user-{place * 7 % GOWALLA['users']:06}" for place in range(2000)]
    sides = {
        "ours": [f"/v1/recommend/{user}?k=10" for user in users],
        "cornac": [f"/recommend?uid={user}&k=10&remove_seen=true" for user in users],
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    with (
        bundle(GOWALLA, given.seed) as path,
        server(path, 100) as ours,
        cornac_server(given.peers) as theirs,
    ):
        for _ in range(given.rounds):
            for name, (port, process) in {"ours": ours, "cornac": theirs}.items():
                found[name].append(
                    measured(process, port, given.seconds, given.connections, 0, sides[name])
                )
    most = {name: median(rounds, "requests_per_second") for name, rounds in found.items()}
    failed = {
        f"{name}_failed": int(sum(one["failed"] for one in rounds))
        for name, rounds in found.items()
    }
    rates = {f"{name}_per_second": round(value, 1) for name, value in most.items()}
    return rates | failed | {"times_as_many": round(most["ours"] / most["cornac"], 1)}


@contextmanager
def cornac_server(python: str) -> Iterator[tuple[int, psutil.Process]]:
    with tempfile.TemporaryDirectory() as folder:
        words = [folder, *(str(GOWALLA[name]) for name in ("users", "items", "pairs", "width"))]
        made = subprocess.run(
            [python, "-c", CORNAC, *words], capture_output=True, text=True, check=True
        )
        model = made.stdout.splitlines()[-1]
        names = {"MODEL_PATH": model, "MODEL_CLASS": "cornac.models.MF"}
        command = [python, "-m", "flask", "--app", "cornac.serving.app", "run", "--port"]
        with listening(
            lambda port: [*command, str(port)], "/recommend?uid=user-000000&k=1", names
        ) as found:
            yield found


@contextmanager
def bundle(sizes: dict[str, int], seed: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield write_bundle(Path(folder), made_up(argparse.Namespace(**sizes, seed=seed)))


@contextmanager
def server(path: Path, size: int) -> Iterator[tuple[int, psutil.Process]]:
    """Our service, its port once it is ready, and its process. size: bytes of the constant."""
    with listening(
        lambda port: [sys.executable, "-c", SERVER, str(path), str(port), str(size)], "/readyz"
    ) as found:
        yield found


@contextmanager
def listening(
    command: Callable[[int], list[str]], probe: str, names: dict[str, str] | None = None
) -> Iterator[tuple[int, psutil.Process]]:
    """A server in a process of its own, once it answers `probe`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = subprocess.Popen(
        command(port), env={**os.environ, **(names or {})}, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                ask(port, probe)
                break
            except OSError:
                time.sleep(0.02)
        yield port, psutil.Process(started.pid)
    finally:
        started.terminate()
        started.wait()


@contextmanager
def reloading(port: int) -> Iterator[list[float]]:
    """Load and swap the bundle again and again; the seconds of each."""
    taken: list[float] = []
    stop = threading.Event()

    def reload() -> None:
        while not stop.is_set():
            began = time.perf_counter()
            ask(port, "/v1/admin/reload", "POST")
            taken.append(time.perf_counter() - began)

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()


def measured(
    process: psutil.Process,
    port: int,
    seconds: float,
    connections: int,
    rate: float,
    paths: list[str],
) -> dict[str, float]:
    """One load; processor_ms: time of the server's process per request."""
    before = sum(process.cpu_times()[:2])
    command = [sys.executable, str(CLIENT), *map(str, (port, seconds, connections, rate)), *paths]
    found: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout
    )
    spent = sum(process.cpu_times()[:2]) - before
    return found | {"processor_ms": 1e3 * spent / max(found["requests"], 1)}


def in_turns(
    given: argparse.Namespace, process: psutil.Process, port: int, sides: dict[str, list[str]]
) -> dict[str, list[dict[str, float]]]:
    """The largest load of each side, by rounds. sides: by name, the paths that are asked."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(given.rounds):
        for name, asked in sides.items():
            found[name].append(measured(process, port, given.seconds, given.connections, 0, asked))
    return found


def median(rounds: list[dict[str, float]], name: str) -> float:
    return statistics.median(one[name] for one in rounds)


def answer_bytes(path: Path, paths: list[str]) -> int:
    with server(path, 100) as (port, _):
        return len(ask(port, paths[0]))


def ask(port: int, path: str, method: str = "GET") -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return bytes(answer.read())


if __name__ == "__main__":
    main()
