"""Where a run goes, from flags."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.runner import Where
from recsys.core.errors import UsageError
from recsys.core.runners import WAIT_SECONDS, LocalRunner
from recsys.core.step_files import SharedFolder, StepFiles


@contextmanager
def somewhere(
    runner: str | None,
    address: str | None = None,
    buckets: int | None = None,
    workers: int | None = None,
    wait_minutes: float | None = None,
    steps: str | None = None,
) -> Iterator[Where]:
    """Where steps run, until the block ends.

    Args:
        runner: "local", "ray", or None for this process alone.
        address: of a Ray cluster; Ray on this machine when None.
        buckets: how many of users; by size when None.
        workers: processes of "local".
        wait_minutes: how long no call may come to an end.
        steps: URL in object storage that takes the files of steps; in the run folder when None.

    Raises:
        UsageError: no such runner, or a flag that does not go with it.
        MachineError: Ray is not installed, no cluster answers, or nothing can be written at `steps`.
    """
    if runner not in (None, "local", "ray"):
        raise UsageError(f"--runner {runner}: no such runner", "Give local or ray")
    if address is not None and runner != "ray":
        raise UsageError("--address names a Ray cluster", "Give --runner ray with it")
    if workers is not None and runner != "local":
        raise UsageError("--workers are processes of this machine", "Give --runner local with it")
    if steps is not None and runner is None:
        raise UsageError("--steps takes the files of buckets", "Give --runner local or ray with it")
    storage = SharedFolder() if steps is None else _at_url(steps)
    seconds = WAIT_SECONDS if wait_minutes is None else 60 * wait_minutes
    if runner is None:
        yield Where(buckets=buckets)
    elif runner == "local":
        with LocalRunner(workers or 1, seconds) as local:
            yield Where(local, buckets, lasts=True, storage=storage)
    else:
        from pipelines.ray_runner import RayRunner

        with RayRunner(address, seconds) as ray:
            yield Where(ray, buckets, lasts=True, storage=storage)


def _at_url(url: str) -> StepFiles:
    """Raises what stands in the way of writing there."""
    from recsys.storage.step_files import FilesAtUrl
    from recsys.storage.store import Store

    Store(url).require_writable()
    return FilesAtUrl(url)
