"""Flags that say where a command goes by buckets of users (`pipelines.where`)."""

from typing import Annotated, Any, NamedTuple

import typer

from pipelines.commands.flag_groups import FlagGroup

RunnerName = Annotated[
    str | None,
    typer.Option(
        "--runner",
        metavar="local|ray",
        help="Go by buckets of users whose files outlive a crash: on this machine, or on a Ray cluster.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="HOST:6379", help="Of a Ray cluster; auto finds it."),
]
Buckets = Annotated[
    int | None,
    typer.Option("--buckets", min=1, help="Buckets of users; by size when absent."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes of --runner local; 1 when absent.")
]
StepsUrl = Annotated[
    str | None,
    typer.Option(
        "--steps",
        metavar="URL",
        help="Object storage for the files of buckets, where nodes share no folder.",
    ),
]
WaitMinutes = Annotated[
    float | None,
    typer.Option(
        "--wait-minutes",
        min=0,
        help="Give up when no bucket gets done for so long; 60 when absent.",
    ),
]


class WhereFlags(NamedTuple):
    """As given; what `pipelines.where.somewhere` takes, in its order."""

    runner: str | None
    address: str | None
    buckets: int | None
    workers: int | None
    wait_minutes: float | None
    steps: str | None = None

    @property
    def by_buckets(self) -> bool:
        """Whether a command that need not goes by buckets."""
        return self.runner is not None or self.buckets is not None


def _as_given(flags: dict[str, Any]) -> WhereFlags:
    return WhereFlags(**flags)


_WHERE = {
    "runner": RunnerName,
    "address": Address,
    "buckets": Buckets,
    "workers": Workers,
    "wait_minutes": WaitMinutes,
}
WHERE = FlagGroup(_WHERE, _as_given)
WHERE_WITH_STEPS = FlagGroup({**_WHERE, "steps": StepsUrl}, _as_given)
