"""How a run goes on once its log is counted: what its budget leaves out, and what it will take."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from pipelines.places import BUDGET
from pipelines.runner import Settled, Stage
from pipelines.stages.counts import counts_of
from recsys.budget.counts import Counts
from recsys.budget.forecast import RunForecast, forecast_run
from recsys.budget.leave_out import Budgeted, within_budget
from recsys.budget.speed import relative_speed
from recsys.core.artefacts import RunFolder, write_json
from recsys.core.config import RunConfig
from recsys.core.progress import Progress

Plan = Callable[[RunConfig], list[Stage]]
_WORTH_A_ROW = 1.0  # seconds


def settle(
    plan: Plan,
    config: RunConfig,
    folder: RunFolder,
    progress: Progress,
    until: str | None = None,
) -> Settled:
    """Leave out what the budget has no time for, tell what the rest takes, and write both down.

    Args:
        plan: stages of a configuration.
        config: as asked for.
        folder: of the run, its log counted.
        progress: told of the forecast.
        until: the last stage of this call; the budget is kept by the whole run.

    Returns:
        How the run goes on.

    Raises:
        ConfigError: not even the least run keeps the budget.
    """
    counts = counts_of(folder)
    budgeted = budget(plan, config, counts)
    stages = plan(budgeted.config)
    forecast = forecast_plan(stages, counts, budgeted.config)
    write_json(folder.path / BUDGET, document(config, budgeted, forecast))
    for missing in budgeted.left_out:
        progress.say(f"left out: {missing.part}: {missing.loss}", **asdict(missing))
    tell(forecast.until(until), relative_speed(), progress)
    seconds = {stage.name: stage.cost.seconds for stage in forecast.stages}
    return Settled(stages, budgeted.config, seconds)


def budget(plan: Plan, config: RunConfig, counts: Counts) -> Budgeted:
    """The configuration that keeps `budget_minutes`."""

    def seconds(candidate: RunConfig) -> float:
        return forecast_plan(plan(candidate), counts, candidate).seconds

    return within_budget(config, counts, seconds)


def forecast_plan(stages: Sequence[Stage], counts: Counts, config: RunConfig) -> RunForecast:
    """What the stages of a plan take."""
    names = []
    for stage in stages:
        for bucket in stage.buckets:
            names.append((stage.name, bucket))
    return forecast_run(names, counts, config)


def document(config: RunConfig, budgeted: Budgeted, forecast: RunForecast) -> dict[str, object]:
    """What is kept beside the run; no clock is in it."""
    stages = {stage.name: stage.cost._asdict() for stage in forecast.stages}
    return {
        "budget_minutes": config.budget_minutes,
        "left_out": [asdict(missing) for missing in budgeted.left_out],
        "forecast": stages,
    }


def tell(forecast: RunForecast, speed: float, progress: Progress) -> None:
    """The forecast as a table, in processor time of this machine."""
    progress.say(
        "\n".join(table_lines(forecast, speed)),
        seconds=round(forecast.seconds / speed, 1),
        memory_bytes=round(forecast.memory_bytes),
        disk_bytes=round(forecast.disk_bytes),
        relative_speed=round(speed, 2),
    )


def table_lines(forecast: RunForecast, speed: float) -> list[str]:
    """A line for each stage that takes long, one for the others, and one for all."""
    lines = [f"{'forecast of':<28} {'processor':>11} {'memory':>9} {'disk':>9}"]
    short = []
    for stage in forecast.stages:
        if stage.cost.seconds / speed < _WORTH_A_ROW:
            short.append(stage)
            continue
        lines.append(_line(stage.name, RunForecast((stage,)), speed))
    if short:
        lines.append(_line(f"{len(short)} short stages", RunForecast(tuple(short)), speed))
    lines.append(_line("all", forecast, speed))
    return lines


def _line(name: str, forecast: RunForecast, speed: float) -> str:
    seconds = forecast.seconds / speed
    time = f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
    memory = f"{forecast.memory_bytes / 1e9:.1f} GB"
    return f"{name:<28} {time:>11} {memory:>9} {_size(forecast.disk_bytes):>9}"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
