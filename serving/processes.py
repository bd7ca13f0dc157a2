"""Figures about the processes of a service: memory, processor time, files, threads, and what they run."""

import os
import platform
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from recsys.core.machine import versions

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable naming the folder through which several workers add up their figures."""

_OF_A_WORKER = re.compile(r"_(\d+)\.db")


def live_workers() -> list[int]:
    """Process ids of the workers that share figures with this one, itself among them.

    What the dead have told of themselves is taken off; what they have counted stays.
    """
    folder = os.environ.get(SHARED)
    pids = {os.getpid()}
    if folder is None:
        return sorted(pids)
    for file in Path(folder).glob("gauge_live*.db"):
        name = _OF_A_WORKER.search(file.name)
        if name is None:
            continue
        pid = int(name[1])
        if _is_sibling(pid):
            pids.add(pid)
        else:
            with suppress(FileNotFoundError):  # another worker has done it just now
                mark_process_dead(pid, folder)
    return sorted(pids)


def _is_sibling(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        is_alive = process.status() != psutil.STATUS_ZOMBIE
        return is_alive and (pid == os.getpid() or process.ppid() == os.getppid())
    except psutil.Error:
        return False


class Workers(MultiProcessCollector):
    """What all workers count, added up.

    A worker that is just starting makes its file before it gives it a length, and the library
    fails for a file of no bytes.
    """

    def collect(self) -> Iterable[Metric]:
        files = [file for file in Path(self._path).glob("*.db") if _holds_something(file)]
        counted: Iterable[Metric] = self.merge(map(str, files))
        return counted


def _holds_something(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # of a worker that another one has just found dead
        return False


class Processes(Collector):
    """The library's figures of a process, of every worker and named by its id; the library itself
    has none where several share a folder.
    """

    def __init__(self) -> None:
        self._build = _build_info()

    def collect(self) -> Iterator[Metric]:
        yield self._build
        families: dict[str, Metric] = {}
        for pid in live_workers():
            for family in _figures(pid):
                whole = families.setdefault(family.name, _empty(family))
                for sample in family.samples:
                    labels = {**sample.labels, "pid": str(pid)}
                    whole.add_sample(sample.name, labels, sample.value)
        yield from families.values()

    def describe(self) -> list[Metric]:
        """Nothing to be looked at before the first time it is asked."""
        return []


def _figures(pid: int) -> Iterator[Metric]:
    library = ProcessCollector(pid=lambda: pid, registry=None)
    yield from library.collect()
    with suppress(psutil.Error):
        threads = psutil.Process(pid).num_threads()
        yield GaugeMetricFamily("process_threads", "Number of threads.", value=threads)


def _empty(family: Metric) -> Metric:
    return Metric(family.name, family.documentation, family.type)


def _build_info() -> Metric:
    build = GaugeMetricFamily(
        "recsys_build_info", "1 for what runs here.", labels=("version", "python")
    )
    build.add_metric((versions(())["recsys"], platform.python_version()), 1)
    return build
