"""Replicas under Ray Serve answer as one service does, follow what is promoted, and outlive a kill."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from patience import eventually
from pipelines.ray_runner import RayRunner
from recsys.core.artefacts import switch_link, write_json
from recsys.core.errors import ConfigError, UsageError
from servers import ask, free_port, running, unnamed
from serving.keys import new_key
from serving.settings import Settings
from worlds import USERS, make_contents, write_world

pytestmark = pytest.mark.cluster

REPLICAS = 2
CLIENTS = 4
MOST_TRIES = 3
PATHS = [f"/v1/recommend/u{user:02}?k=5" for user in range(USERS)]


@dataclass(frozen=True)
class World:
    """run: a folder with two bundles, of which `first` is live. keys: file. headers: with a key."""

    run: Path
    first: Path
    second: Path
    keys: Path
    headers: dict[str, str]

    def go_live(self, bundle: Path) -> None:
        switch_link(self.run / "bundle", bundle)

    def answers(self, address: str) -> list[Any]:
        """Of every user."""
        answers = []
        for path in PATHS:
            status, document = ask(address + path, headers=self.headers)
            assert status == 200, document
            answers.append(unnamed(document))
        return answers

    def plain_answers(self) -> list[Any]:
        """Those of `recsys serve`."""
        with running(Settings(self.run / "bundle", run=self.run, keys=self.keys)) as address:
            return self.answers(address)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    run = tmp_path_factory.mktemp("run")
    write_json(run / "manifest.json", {})
    bundles = [write_world(run / "bundles", make_contents(seed=seed)) for seed in (0, 1)]
    token, lines = new_key("clients", ["read", "events", "metrics"], None)
    (run / "keys.toml").write_text(lines)
    headers = {"Authorization": f"Bearer {token}"}
    world = World(run, *bundles, keys=run / "keys.toml", headers=headers)
    world.go_live(world.first)
    return world


@pytest.fixture(scope="module")
def address(world: World, connected: RayRunner, cluster: Any) -> Iterator[str]:
    """Of Ray's proxy, behind which the run is served."""
    serve = pytest.importorskip("ray.serve")
    from pipelines.ray_serve import Replicated, app

    cluster.complete()
    port = free_port()
    serve.start(
        proxy_location="HeadOnly",
        http_options={"port": port},
        logging_config={"log_level": "ERROR"},
    )
    replicated = Replicated(run=str(world.run), keys=world.keys, replicas=REPLICAS, cpus=0.5)
    serve.run(app(replicated), name="recsys")
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()


def replicas() -> set[int]:
    """Processes of the replicas."""
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or [""]
        if words[0].startswith("ray::ServeReplica:recsys"):
            found.add(process.pid)
    return found


def require_same(answer: Any, wanted: Any) -> None:
    """Equal but for the last bits of scores, in which lists that are made together differ."""
    for item, other in zip(answer["items"], wanted["items"], strict=True):
        assert item["score"] == pytest.approx(other["score"], rel=1e-5)
        assert item | {"score": 0} == other | {"score": 0}
    assert answer | {"items": []} == wanted | {"items": []}


@dataclass
class Client:
    """Asks in a circle, and asks again where an answer does not come."""

    address: str
    world: World
    wanted: list[Any]
    stop: threading.Event
    answered: int = 0
    again: list[str] = field(default_factory=list)

    def run(self) -> None:
        while not self.stop.is_set():
            number = self.answered % len(PATHS)
            require_same(unnamed(self._answer(PATHS[number])), self.wanted[number])
            self.answered += 1

    def _answer(self, path: str) -> Any:
        for _ in range(MOST_TRIES):
            try:
                status, document = ask(self.address + path, headers=self.world.headers)
            except OSError as error:
                self.again.append(f"{type(error).__name__}: {error}")
                continue
            if status == 200:
                return document
            self.again.append(f"{status}: {document}")
        raise AssertionError(f"not answered: {self.again[-MOST_TRIES:]}")


def test_replicas_answer_as_the_plain_service(world: World, address: str) -> None:
    assert len(replicas()) == REPLICAS
    assert world.answers(address) == world.plain_answers()
    assert ask(address + PATHS[0])[0] == 401
    assert ask(f"{address}/readyz")[0] == 200


def test_every_replica_takes_what_is_promoted(world: World, address: str) -> None:
    seen: dict[str, str] = {}

    def all_have(bundle: Path) -> bool:
        text = ask(f"{address}/metrics", headers=world.headers)[1]
        [pid] = set(re.findall(r'^process_resident_memory_bytes.*pid="(\d+)"', text, re.M))
        [seen[pid]] = re.findall(r'^recsys_bundle_info{model_version="(\w+)"} 1', text, re.M)
        return len(seen) == REPLICAS and set(seen.values()) == {bundle.name}

    for bundle in (world.second, world.first):
        world.go_live(bundle)
        eventually(lambda bundle=bundle: all_have(bundle), "a replica keeps the old bundle")
        assert world.answers(address) == world.plain_answers()


def test_a_replica_is_killed_under_load(world: World, address: str) -> None:
    stop = threading.Event()
    wanted = world.plain_answers()
    clients = [Client(address, world, wanted, stop) for _ in range(CLIENTS)]
    victim = min(replicas())
    with ThreadPoolExecutor(CLIENTS) as pool:
        work = [pool.submit(client.run) for client in clients]

        def answered() -> int:
            for one in work:
                if one.done():
                    one.result()
            return min(client.answered for client in clients)

        try:
            eventually(lambda: answered() >= 50, "no client is answered")
            os.kill(victim, signal.SIGKILL)
            begun = answered()
            eventually(lambda: len(replicas() - {victim}) == REPLICAS, "no replica takes its place")
            eventually(lambda: answered() >= begun + 50, "answers end with the replica")
        finally:
            stop.set()
    for one in work:
        one.result()
    # What the dead replica was at is answered with an error, and asked again.
    again = [reason for client in clients for reason in client.again]
    assert all(reason.startswith("500") for reason in again)
    assert len(again) <= CLIENTS * MOST_TRIES


def test_what_cannot_be_served_is_refused_before_a_replica_starts(
    world: World, connected: RayRunner, tmp_path: Path
) -> None:
    pytest.importorskip("ray.serve")
    from pipelines.ray_serve import Replicated, app

    with pytest.raises(ConfigError, match="cannot use the keys"):
        app(Replicated(run=str(world.run), keys=tmp_path / "none.toml"))
    with pytest.raises(UsageError, match="is no path"):
        app(Replicated(run=str(world.run), keys=world.keys, prefix="recs"))
