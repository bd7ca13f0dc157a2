"""Mixed requests for a long time while bundles come and go: nothing fails, and memory does not
grow.
"""

import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from recsys.core.artefacts import switch_link
from servers import ask, running
from serving.client import Client
from serving.settings import Settings


def one_of_many(client: Client, draw: random.Random) -> str:
    """A request of some kind; its answer's version."""
    user, item = f"u{draw.randrange(40):02}", f"i{draw.randrange(40):02}"
    kind = draw.randrange(6)
    if kind == 0:
        return client.similar(item, 5)["model_version"]
    if kind == 1:
        return client.explain(f"u{draw.randrange(30):02}", item)["model_version"]
    if kind == 2:
        return client.recommend_for([{"item": item}, {"item": "i01"}], 5, diversity=0.3)[
            "model_version"
        ]
    if kind == 3:
        client.send([{"user": user, "item": item}])
    return client.recommend(user, draw.randrange(1, 20))["model_version"]


def soak(run: Path, good: list[str], bad: str, requests: int, reloads: int) -> list[int]:
    """Requests from four clients, `reloads` switches among them, every tenth to the damaged bundle;
    memory after each.
    """
    settings = Settings(run / "bundle", run, events=run / "events.jsonl", poll_seconds=3600)
    memory, done = [], threading.Semaphore(0)
    process, switched = psutil.Process(), threading.Event()

    def client(seed: int) -> set[str]:
        draw, seen = random.Random(seed), set()
        with Client(address) as service:
            asked = 0
            while asked < requests // 4 or not switched.is_set():
                seen.add(one_of_many(service, draw))
                done.release()
                asked += 1
        return seen

    with running(settings) as address, ThreadPoolExecutor(4) as clients:
        running_clients = [clients.submit(client, seed) for seed in range(4)]
        for place in range(reloads):
            for _ in range(requests // (reloads + 1)):
                done.acquire()
            corrupt = place % 10 == 5
            switch_link(run / "bundle", run / "bundles" / (bad if corrupt else good[place % 2]))
            assert ask(f"{address}/v1/admin/reload", method="POST")[0] == (409 if corrupt else 200)
            memory.append(process.memory_info().rss)
        switched.set()
        versions = set().union(*(one.result() for one in running_clients))
    assert versions == set(good)
    return memory


@pytest.fixture
def run(tmp_path: Path, bundle_path: Path, other_bundle_path: Path) -> Path:
    for source in (bundle_path, other_bundle_path):
        shutil.copytree(source, tmp_path / "bundles" / source.name)
    damaged = shutil.copytree(bundle_path, tmp_path / "bundles" / "damaged00000")
    vectors = damaged / "user_vectors.npy"
    vectors.write_bytes(vectors.read_bytes()[:-4] + b"\0\0\0\1")
    switch_link(tmp_path / "bundle", tmp_path / "bundles" / bundle_path.name)
    return tmp_path


def test_a_short_soak_fails_nowhere(run: Path, bundle_path: Path, other_bundle_path: Path) -> None:
    soak(run, [bundle_path.name, other_bundle_path.name], "damaged00000", requests=800, reloads=6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_requests_and_twenty_reloads(
    run: Path, bundle_path: Path, other_bundle_path: Path
) -> None:
    memory = soak(
        run,
        [bundle_path.name, other_bundle_path.name],
        "damaged00000",
        requests=100_000,
        reloads=20,
    )
    half = len(memory) // 2
    assert max(memory[half:]) < 1.05 * max(memory[:half])
