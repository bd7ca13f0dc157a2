"""The HTTP service while a bundle of about 2 GB is promoted in the place of another: what ordinary
clients notice.

    python -m benchmarks reload [--folder FOLDER] [--users 1000000] [--items 100000]
        [--pairs 5000000] [--width 128] [--seconds 60] [--connections 16]

Two made-up bundles with an item–item table and a low-pass of the default size; with --folder they
are kept there, and used again. One is served; after the largest load, half of it for SECONDS with
nothing else, then for as long as the service needs to promote the other, verify it and swap, and
back. A latency counts from the moment a request was due: longest_ms is the longest stall. On a
machine that others use, `chrt -r 5` before the command keeps them out of the figures.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.made_up import made_up, with_histories
from benchmarks.record import record
from benchmarks.serving import CLIENT, ask, listening
from recsys.core.artefacts import RunFolder, switch_link
from recsys.releases.life_cycle import all_bundles, bundle_bytes
from recsys.releases.publish import write_bundle

_SERVER = """
import sys
from pathlib import Path
from serving.server import serve
from serving.settings import Settings
run = Path(sys.argv[1])
serve(Settings(run / "bundle", run=run, port=int(sys.argv[2])))
"""


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = {
        "users": 1_000_000,
        "items": 100_000,
        "pairs": 5_000_000,
        "width": 128,
        "seconds": 60,
        "connections": 16,
        "seed": 0,
    }
    for name, value in numbers.items():
        options.add_argument(f"--{name}", type=int, default=value)
    options.add_argument("--folder", type=Path, help="for the bundles, kept")
    given = options.parse_args()
    kept = nullcontext(given.folder) if given.folder else tempfile.TemporaryDirectory()
    with kept as folder:
        figures = measure(two_bundles(Path(folder), given), given)
    settings = {name: getattr(given, name) for name in numbers}
    record("reload", figures | settings, "made-up bundles", given.seed)


def two_bundles(path: Path, given: argparse.Namespace) -> RunFolder:
    """A run folder with two bundles, one of them live; made unless it has them."""
    folder = RunFolder(path)
    for seed in (given.seed, given.seed + 1)[len(all_bundles(folder)) :]:
        made = made_up(argparse.Namespace(**{**vars(given), "seed": seed}))
        write_bundle(folder.bundles, with_histories(made, seed))
    switch_link(folder.bundle, all_bundles(folder)[0])
    return folder


def measure(folder: RunFolder, given: argparse.Namespace) -> dict[str, float]:
    """Latencies at half of the largest load: quiet, and while both bundles are promoted."""
    first, second = (path.name for path in all_bundles(folder))
    users = [f"user-{place * 7919 % given.users:06}" for place in range(2000)]
    paths = [f"/v1/recommend/{user}?k=10" for user in users]
    command = [sys.executable, "-c", _SERVER, str(folder.path)]
    with listening(lambda port: [*command, str(port)], "/readyz") as (port, process):
        with load(port, given.connections, 0, paths) as largest:
            time.sleep(10)
        half = largest["requests_per_second"] / 2
        with load(port, given.connections, half, paths) as quiet:
            time.sleep(given.seconds)
        resident = process.memory_info().rss
        seconds = []
        with load(port, given.connections, half, paths) as reloading:
            for name in (second, first):
                seconds.append(promoted(port, name))
    return {
        "bundle_megabytes": round(bundle_bytes(folder.bundles / second) / 1e6),
        "largest_per_second": round(largest["requests_per_second"], 1),
        "half_per_second": round(half, 1),
        **{f"quiet_{name}": value for name, value in latencies(quiet).items()},
        **{f"reloading_{name}": value for name, value in latencies(reloading).items()},
        "p50_over_quiet": round(reloading["p50_ms"] / quiet["p50_ms"], 2),
        "p99_over_quiet": round(reloading["p99_ms"] / quiet["p99_ms"], 2),
        "seconds_to_promote": round(sum(seconds) / len(seconds), 1),
        "requests_while_reloading": int(reloading["requests"]),
        "failed": int(largest["failed"] + quiet["failed"] + reloading["failed"]),
        "resident_megabytes": round(resident / 1e6),
    }


def latencies(found: dict[str, float]) -> dict[str, float]:
    return {name: round(found[name], 2) for name in ("p50_ms", "p99_ms", "longest_ms")}


@contextmanager
def load(port: int, connections: int, rate: float, paths: list[str]) -> Iterator[dict[str, float]]:
    """Lists for users until the block ends; what the clients found is there then."""
    found: dict[str, float] = {}
    command = [sys.executable, str(CLIENT), *map(str, (port, 1e6, connections, rate)), *paths]
    clients = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        yield found
    finally:
        clients.terminate()
        told, _ = clients.communicate()
    found |= json.loads(told)


def promoted(port: int, name: str) -> float:
    """Seconds until the bundle of that name answers. Raises RuntimeError where it is refused."""
    began = time.monotonic()
    job = json.loads(post(port, "/v1/admin/promote?wait=0", {"bundle": name, "force": True}))
    while job["state"] in ("waiting", "running"):
        time.sleep(0.2)
        job = json.loads(ask(port, f"/v1/admin/jobs/{job['job']}"))
    if job["state"] != "done":
        raise RuntimeError(f"not promoted: {job}")
    return time.monotonic() - began


def post(port: int, path: str, document: dict[str, object]) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(document).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return bytes(answer.read())


if __name__ == "__main__":
    main()
