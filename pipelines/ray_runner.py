"""Calls as tasks of a Ray cluster: placement, retries and the loss of nodes are Ray's.

Imported for `--runner ray` alone. This process owns every reference, and what goes through the object
store is the facts of a call: its files are on storage that all nodes share. So when a node is lost,
the calls that ran there are run again, and nothing that was finished is.
"""

import os
import platform
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from recsys import __version__
from recsys.core.errors import MachineError, RecsysError
from recsys.core.machine import versions
from recsys.core.runners import ATTEMPTS, WAIT_SECONDS

Task = TypeVar("Task")
Result = TypeVar("Result")

_ANSWER_SECONDS = 10.0
_NOT_ALIKE = ("python", "recsys", "numpy", "polars")
"""Where these differ between nodes, the same call may leave other bytes."""


class RayRunner:
    """`with RayRunner(address) as runner: …`.

    address: of a running cluster ("auto", "host:6379"); Ray on this machine alone when None, unless
        RAY_ADDRESS names one.
    wait_seconds: how long no call may come to an end.
    """

    is_remote = True

    def __init__(self, address: str | None = None, wait_seconds: float = WAIT_SECONDS) -> None:
        self._ray = _require_ray()
        self._wait_seconds = wait_seconds
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            self._connect(address)
        self._versions = _versions()
        self._folder = Path.cwd()

    def __enter__(self) -> "RayRunner":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_ours:
            self._ray.shutdown()

    def map(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], memory_bytes: int = 0
    ) -> list[Result]:
        """The results of `function` over `tasks`, in order; each has one core.

        Raises:
            MachineError: a call was lost with its worker or node more often than Ray tries again; no
                call ends for `wait_seconds`; the nodes have other versions of recsys, or lack the
                folder that paths begin in. Also what `function` raises.
        """
        ray = self._ray
        remote = ray.remote(_perform).options(
            num_cpus=1, memory=self._placeable(memory_bytes), max_retries=ATTEMPTS
        )
        waiting = {}
        for number, task in enumerate(tasks):
            waiting[remote.remote(function, task, self._versions, self._folder)] = number
        results: dict[int, Result] = {}
        try:
            while waiting:
                done, _ = ray.wait(list(waiting), timeout=self._wait_seconds)
                if not done:
                    raise self._stalled(len(waiting), len(tasks))
                for reference in done:
                    results[waiting.pop(reference)] = self._result(reference)
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)
        return [results[number] for number in range(len(tasks))]

    def _connect(self, address: str | None) -> None:
        _require_answer(address)
        options: dict[str, Any] = {}
        if address is None and "RAY_ADDRESS" not in os.environ:
            options = {"include_dashboard": False}
        try:
            # A call has one core; polars would start threads for all of them.
            self._ray.init(
                address=address,
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={"env_vars": {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}},
                **options,
            )
        except Exception as error:  # a node that does not start in time raises nothing narrower
            raise _no_cluster(address, error) from error

    def _placeable(self, memory_bytes: int) -> int:
        """Memory to ask for: never more than the largest node has, so that the call can start."""
        most = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                most = max(most, int(node["Resources"].get("memory", 0)))
        return min(memory_bytes, most)

    def _result(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            result = self._ray.get(reference, timeout=self._wait_seconds)
        except errors.RayTaskError as error:
            if isinstance(error.cause, RecsysError):
                raise error.cause from None
            raise
        except (errors.RaySystemError, errors.RayError) as error:
            reason = str(error).strip().split("\n")[0]
            raise MachineError(
                f"a call was lost {ATTEMPTS + 1} times with the worker or node that ran it: {reason}",
                "Most often memory is short: give more --buckets; the same command goes on from here",
            ) from error
        if isinstance(result, _Refusal):
            raise MachineError(result.message, result.remedy)
        return result

    def _stalled(self, num_waiting: int, num_tasks: int) -> MachineError:
        free = self._ray.available_resources()
        return MachineError(
            f"no call ended within {self._wait_seconds:.0f} s: {num_waiting} of {num_tasks} are open, "
            f"{free.get('CPU', 0):.0f} cores and {free.get('memory', 0) / 1e9:.1f} GB are free",
            "Look at ray status; give more --buckets, or a larger --wait-minutes",
        )


@dataclass(frozen=True)
class _Refusal:
    """Why a node did not run a call."""

    message: str
    remedy: str


def _perform(
    function: Callable[[Task], Result], task: Task, wanted: dict[str, str], folder: Path
) -> "Result | _Refusal":
    """A call, on a node. folder: where the command was started, for relative paths."""
    node = platform.node()
    installed = _versions()
    if installed != wanted:
        return _Refusal(
            f"node {node} has {installed}, this machine {wanted}",
            "Use one image everywhere: other versions may leave other bytes",
        )
    try:
        os.chdir(folder)
    except OSError:
        return _Refusal(
            f"node {node} has no folder {str(folder)!r}, where this command was started",
            "Start it in a folder that all nodes have: paths mean the same there",
        )
    return function(task)


def _require_answer(address: str | None) -> None:
    """Raises MachineError when nothing listens there: Ray itself would try for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str | None, error: Exception) -> MachineError:
    reason = str(error).strip().split("\n")[0]
    return MachineError(
        f"no Ray cluster answers at {address or 'this machine'}: {reason}",
        "Start one as docs/cluster.md says, and name it with --address HOST:6379",
    )


def _versions() -> dict[str, str]:
    installed = versions() | {"recsys": __version__}
    return {name: installed[name] for name in _NOT_ALIKE}


def _require_ray() -> Any:
    """The package. Raises MachineError that names the extra where it is absent."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        import ray
    except ImportError as error:
        raise MachineError(
            f"--runner ray: Ray is not installed ({error})", 'pip install "recsys[cluster]"'
        ) from None
    return ray
