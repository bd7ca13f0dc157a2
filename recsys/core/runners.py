"""Where calls of a function run: one after another, in processes beside this one, or, behind the
same `map`, on a cluster (`pipelines.ray_runner`).
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Protocol, TypeVar

from recsys.core.errors import MachineError, UsageError
from recsys.core.machine import cores

Task = TypeVar("Task")
Result = TypeVar("Result")

WAIT_SECONDS = 3600.0
ATTEMPTS = 3
"""How often work is tried that ends for a reason outside it: a dead process, a broken file."""


class Runner(Protocol):
    """Runs calls; the only thing that stages ask of where they run."""

    def map(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], memory_bytes: int = 0
    ) -> list[Result]:
        """The results of `function` over `tasks`, in order. Results are small: files stay on disk.

        memory_bytes: what one call takes at most, for whoever places it.
        """
        ...

    @property
    def is_remote(self) -> bool:
        """Whether calls run in other processes: tasks are pickled, and what they write must last."""
        ...


def _share_cores(threads: str) -> None:
    """In a new process, before the libraries load that start threads."""
    for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = threads


class LocalRunner:
    """Calls in this process, or in `processes` beside it, which start with the first call and stay:
    `with LocalRunner(2) as runner: …` ends them.

    wait_seconds: how long none of the processes may come to an end of a call.
    """

    def __init__(self, processes: int = 1, wait_seconds: float = WAIT_SECONDS) -> None:
        if processes < 1:
            raise UsageError(f"{processes} processes: at least one is needed")
        self.processes = processes
        self.wait_seconds = wait_seconds
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "LocalRunner":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def is_remote(self) -> bool:
        return self.processes > 1

    def map(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], memory_bytes: int = 0
    ) -> list[Result]:
        """Raises MachineError when the same call takes its process along again and again, and when
        no call ends for `wait_seconds`. Also what `function` raises.
        """
        if not self.is_remote:
            return [function(task) for task in tasks]
        results: dict[int, Result] = {}
        for _ in range(ATTEMPTS):
            remaining = [number for number in range(len(tasks)) if number not in results]
            if not remaining:
                break
            self._run(function, tasks, remaining, results)
        if len(results) < len(tasks):
            raise MachineError(
                f"{len(tasks) - len(results)} of {len(tasks)} calls took their process along "
                f"{ATTEMPTS} times",
                "Most often memory is short: give more --buckets or fewer --workers; "
                "the same command goes on from here",
            )
        return [results[number] for number in range(len(tasks))]

    def _run(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        numbers: Sequence[int],
        results: dict[int, Result],
    ) -> None:
        """Add results until all are there or a process dies."""
        pool = self._started()
        waiting: dict[Future[Any], int] = {}
        try:
            for number in numbers:
                waiting[pool.submit(function, tasks[number])] = number
            while waiting:
                done, _ = wait(waiting, self.wait_seconds, FIRST_COMPLETED)
                if not done:
                    raise MachineError(
                        f"no call ended within {self.wait_seconds:.0f} s, {len(waiting)} are open",
                        "Give more --buckets, or a larger --wait-minutes",
                    )
                for future in done:
                    results[waiting.pop(future)] = future.result()
        except BrokenProcessPool:
            self._end()
        except BaseException:
            self._end()
            raise

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Forks have none of the threads of polars (`core.forks`).
            context = multiprocessing.get_context("spawn")
            threads = str(max(1, cores() // self.processes))
            self._pool = ProcessPoolExecutor(
                self.processes, mp_context=context, initializer=_share_cores, initargs=(threads,)
            )
        return self._pool

    def _end(self) -> None:
        """Without waiting for a call that may never end."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
