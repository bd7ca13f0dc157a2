"""Where a run goes, from flags."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.runner import Where
from recsys.core.errors import UsageError
from recsys.core.runners import WAIT_SECONDS, LocalRunner


@contextmanager
def somewhere(
    runner: str | None,
    address: str | None = None,
    buckets: int | None = None,
    workers: int | None = None,
    wait_minutes: float | None = None,
) -> Iterator[Where]:
    """Where steps run, until the block ends.

    Args:
        runner: "local", "ray", or None for this process alone.
        address: of a Ray cluster; Ray on this machine when None.
        buckets: how many of users; by size when None.
        workers: processes of "local".
        wait_minutes: how long no call may come to an end.

    Raises:
        UsageError: no such runner, or a flag that does not go with it.
        MachineError: Ray is not installed, or no cluster answers.
    """
    if runner not in (None, "local", "ray"):
        raise UsageError(f"--runner {runner}: no such runner", "Give local or ray")
    if address is not None and runner != "ray":
        raise UsageError("--address names a Ray cluster", "Give --runner ray with it")
    if workers is not None and runner != "local":
        raise UsageError("--workers are processes of this machine", "Give --runner local with it")
    seconds = WAIT_SECONDS if wait_minutes is None else 60 * wait_minutes
    if runner is None:
        yield Where(buckets=buckets)
    elif runner == "local":
        with LocalRunner(workers or 1, seconds) as local:
            yield Where(local, buckets, lasts=True)
    else:
        from pipelines.ray_runner import RayRunner

        with RayRunner(address, seconds) as ray:
            yield Where(ray, buckets, lasts=True)
