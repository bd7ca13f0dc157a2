"""`recsys plan`: what a run of some size would take, before there is a log."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.options import Config, Json, Sets, configuration

if TYPE_CHECKING:
    from recsys.budget.sizing import Sizing
    from recsys.core.config import RunConfig


def plan(
    users: Annotated[int, typer.Option("--users", help="Users of the log.")],
    items: Annotated[int, typer.Option("--items", help="Items of the log.")],
    interactions: Annotated[int, typer.Option("--interactions", help="Rows of the log.")],
    config: Config = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes that train together, and share buckets."),
    ] = None,
    buckets: Annotated[
        int | None,
        typer.Option("--buckets", min=1, help="Go through the log by so many buckets of users."),
    ] = None,
    gigabits: Annotated[
        float, typer.Option("--gigabits", min=0.001, help="That a process can send a second.")
    ] = 10.0,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Say what a run on a log of some size would take: memory of every process, bytes between them,
    hours, what they go to, and what would change that. Nothing is read and nothing is run.
    """
    run_config = configuration(config, sets, **{"group.workers": workers})
    from pipelines.budget import budget
    from pipelines.console import print_document, print_text
    from pipelines.plan import plan as stages_of
    from recsys.budget.sizing import counts_of_size, size_run

    has_order = run_config.data.time_col is not None or run_config.data.log is None
    counts = counts_of_size(users, items, interactions, has_order, has_order)
    budgeted = budget(stages_of, run_config, counts)

    def stages(candidate: "RunConfig") -> list[tuple[str, str]]:
        names = []
        for stage in stages_of(candidate):
            for bucket in stage.buckets:
                names.append((stage.name, bucket))
        return names

    sizing = size_run(budgeted.config, counts, stages, gigabits * 1e9 / 8, buckets)
    if as_json:
        left_out = [asdict(missing) for missing in budgeted.left_out]
        print_document({**sizing.document(), "left_out": left_out})
        return
    for missing in budgeted.left_out:
        print_text(f"left out: {missing.part}: {missing.loss}")
    print_text("\n".join(lines_of(sizing)))


def lines_of(sizing: "Sizing") -> list[str]:
    """The table, what the most goes to, and what would change it."""
    from recsys.budget.sizing import drivers

    lines = [
        f"{'stage':<24} {'hours':>8} {'a process, GB':>14} {'sends, GB':>10} {'processes':>10}"
    ]
    short = [stage for stage in sizing.stages if stage.hours < _SHORT * sizing.hours]
    for stage in sizing.stages:
        if stage in short:
            continue
        lines.append(
            f"{stage.name:<24} {stage.hours:>8.2f} {stage.memory_bytes / 1e9:>14.1f} "
            f"{stage.moved_bytes / 1e9:>10.1f} {stage.processes:>10}"
        )
    if short:
        hours = sum(stage.hours for stage in short)
        memory = max(stage.memory_bytes for stage in short)
        lines.append(f"{f'{len(short)} short stages':<24} {hours:>8.2f} {memory / 1e9:>14.1f}")
    lines.append(
        f"{'all':<24} {sizing.hours:>8.2f} {sizing.memory_bytes / 1e9:>14.1f} "
        f"{sizing.moved_bytes / 1e9:>10.1f}"
    )
    lines.append("")
    lines += drivers(sizing)
    if sizing.changes:
        lines += ["", f"{'with':<40} {'hours':>8} {'a process, GB':>14}"]
    for change in sizing.changes:
        lines.append(f"{change.key:<40} {change.hours:>8.2f} {change.memory_bytes / 1e9:>14.1f}")
    return lines


_SHORT = 0.01
