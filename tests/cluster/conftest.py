"""A Ray cluster on this machine: a head that runs nothing, and two nodes of one core each."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from object_stores import environment_of
from outages import Way, way_to
from pipelines.ray_runner import RayRunner
from recsys.logs.synthetic import large_log
from recsys.storage.store import RETRY_VARIABLE

_OBJECT_STORE_BYTES = 80 << 20
_TRIES = 5
_SUPPORT = Path(__file__).parents[1] / "support"


@dataclass
class Nodes:
    """The cluster's nodes that run calls; one that a test killed is replaced for the next test.

    environment: of their workers, beside that of this process.
    """

    cluster: Any
    environment: dict[str, str]
    nodes: list[Any] = field(default_factory=list)

    def complete(self) -> None:
        """Two nodes that run."""
        while len(self.nodes) < 2:
            self.nodes.append(self.add(num_cpus=1))
        self.cluster.wait_for_nodes(timeout=300)

    def add(self, **options: Any) -> Any:
        """One more node. Ray gives one 30 s to start, which a busy machine may not have."""
        for _ in range(_TRIES):
            with suppress(Exception), pytest.MonkeyPatch.context() as patch:
                for name, value in self.environment.items():
                    patch.setenv(name, value)
                return self.cluster.add_node(
                    object_store_memory=_OBJECT_STORE_BYTES, include_log_monitor=False, **options
                )
        raise AssertionError("no node starts")

    def kill(self, pid: int) -> None:
        """The node whose worker has this process id, hard."""
        for node in list(self.nodes):
            if _runs_below(pid, node):
                self.nodes.remove(node)
                self.cluster.remove_node(node, allow_graceful=False)
                return
        raise AssertionError(f"no node runs process {pid}")


def _runs_below(pid: int, node: Any) -> bool:
    """Whether a process is a worker of a node's raylet."""
    raylets = {info.process.pid for infos in node.all_processes.values() for info in infos}
    status = Path(f"/proc/{pid}/status").read_text()
    parent = int(status.partition("PPid:")[2].split()[0])
    return parent in raylets


@pytest.fixture(scope="session")
def way() -> Iterator[Way]:
    """To the object store of a test: nodes are told an address when they start."""
    with way_to(0) as way:
        yield way


@pytest.fixture(scope="session")
def store_environment(way: Way, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Leads to the object store."""
    cache = {"RECSYS_CACHE": str(tmp_path_factory.mktemp("cache"))}
    return environment_of(way.port) | {RETRY_VARIABLE: "300"} | cache


@pytest.fixture(scope="session")
def cluster(store_environment: dict[str, str]) -> Iterator[Nodes]:
    """Started once; connected to by its own address."""
    ray = pytest.importorskip("ray", reason="needs recsys[cluster]")
    utilities = pytest.importorskip("ray.cluster_utils")
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Workers import the test's own steps; a node counts as dead after seconds.
    patch.setenv("PYTHONPATH", os.pathsep.join([os.environ.get("PYTHONPATH", "."), str(_SUPPORT)]))
    patch.setenv("RAY_health_check_period_ms", "1000")
    patch.setenv("RAY_health_check_failure_threshold", "5")
    started = utilities.Cluster()
    nodes = Nodes(started, store_environment)
    nodes.add(num_cpus=0, include_dashboard=False)
    nodes.complete()
    yield nodes
    ray.shutdown()
    started.shutdown()
    patch.undo()


@pytest.fixture(scope="session")
def connected(cluster: Nodes) -> Iterator[RayRunner]:
    """The runner of the cluster."""
    with RayRunner(cluster.cluster.address, wait_seconds=600) as runner:
        yield runner


@pytest.fixture
def runner(connected: RayRunner, cluster: Nodes) -> RayRunner:
    """With all nodes running."""
    cluster.complete()
    return connected


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files."""
    folder = tmp_path_factory.mktemp("log")
    large_log(folder, rows=30_000, users=2_000, items=300, files=3)
    return folder
