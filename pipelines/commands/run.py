"""`recsys run`, `recsys train`, `recsys index`: the plan, whole or in part."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.flag_groups import takes
from pipelines.commands.options import (
    LOG,
    Config,
    Json,
    LogJson,
    Out,
    Quiet,
    Sets,
    configuration,
    sets_keys,
)
from pipelines.commands.where_flags import WHERE_WITH_STEPS, WhereFlags
from pipelines.under_torchrun import group_keys, others_following
from recsys.core.errors import UsageError

if TYPE_CHECKING:
    from pipelines.manifest import Manifest
    from pipelines.runner import Where
    from recsys.core.config import RunConfig

Fresh = Annotated[bool, typer.Option("--fresh", help="Run every stage again.")]
Hold = Annotated[
    bool,
    typer.Option(
        "--hold", help="Leave the old bundle live; recsys promote switches to the new one."
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Make the bundle live though its report calls it worse."),
]
Forecast = Annotated[
    bool, typer.Option("--forecast", help="Only say what the run would take; nothing is trained.")
]
NoFirst = Annotated[
    bool, typer.Option("--no-first", help="Serve no first bundle while the model is trained.")
]
BudgetMinutes = Annotated[
    float | None,
    typer.Option(
        "--budget-minutes", help="Leave out named parts of the run until its forecast fits."
    ),
]
TrainWorkers = Annotated[
    int | None,
    typer.Option("--train-workers", min=1, help="Processes that share the steps of a training."),
]

TrackerFlag = Annotated[
    str | None,
    typer.Option(
        "--tracker", metavar="NAME", help="Log the run in mlflow, wandb or tensorboard, too."
    ),
]


@takes(sets_keys(LOG), WHERE_WITH_STEPS)
def run(
    keys: dict[str, object],
    where: WhereFlags,
    config: Config = None,
    out: Out = None,
    sets: Sets = None,
    fresh: Fresh = False,
    hold: Hold = False,
    force: Force = False,
    forecast: Forecast = False,
    budget_minutes: BudgetMinutes = None,
    train_workers: TrainWorkers = None,
    no_first: NoFirst = False,
    tracker: TrackerFlag = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole chain: from a log to a report, a bundle and an index. Unchanged stages are
    skipped. A bundle that its own report calls worse than another model does not go live (exit 4).
    """
    first = False if no_first else None
    keys["tracking.tracker"] = tracker
    flags: dict[str, object] = {"budget_minutes": budget_minutes, "first": first}
    flags |= group_keys(train_workers, where.runner)
    run_config = configuration(config, sets, **flags, **keys)
    _require_log(run_config)
    if forecast:
        say_forecast(run_config, out, as_json, log_json, quiet)
        return
    use_threads(run_config.threads)
    from pipelines.where import somewhere

    with (
        others_following() as leads,
        somewhere(*where) as execution,
    ):
        if leads:
            finish(
                run_config,
                out,
                as_json,
                log_json,
                quiet,
                fresh,
                hold=hold,
                force=force,
                where=execution,
            )


@takes(sets_keys(LOG))
def train(
    keys: dict[str, object],
    config: Config = None,
    out: Out = None,
    sets: Sets = None,
    train_workers: TrainWorkers = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Run the chain up to the training that chooses the number of epochs on validation."""
    run_config = configuration(config, sets, **group_keys(train_workers), **keys)
    _require_log(run_config)
    use_threads(run_config.threads)
    with others_following() as leads:
        if leads:
            finish(run_config, out, as_json, log_json, quiet, until="train-select")


def index(
    run_folder: Annotated[str, typer.Argument(metavar="RUN", help="Run folder, or its URL.")],
    sets: Sets = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Tune the index of a run again, for example with --set index.target_recall=0.95; the bundle
    follows.
    """
    from pipelines.run_folders import with_stages
    from recsys.core.config import with_overrides

    stored = with_stages(run_folder).read_manifest()["config"]
    finish(
        with_overrides(stored, sets or []),
        run_folder,
        as_json,
        log_json,
        quiet,
        since="index-final",
    )


def say_forecast(
    config: "RunConfig", out: str | Path | None, as_json: bool, log_json: bool, quiet: bool
) -> None:
    """Count the log, and print what the run would take."""
    use_threads(config.threads)
    from pipelines.budget import document, table_lines
    from pipelines.console import print_document, print_text, progress_to
    from pipelines.run import forecast
    from recsys.budget.speed import relative_speed

    budgeted, costs = forecast(config, out, progress_to(log_json, quiet))
    if as_json:
        print_document(document(config, budgeted, costs))
        return
    for missing in budgeted.left_out:
        print_text(f"left out: {missing.part}: {missing.loss}")
    print_text("\n".join(table_lines(costs, relative_speed())))


def finish(
    config: "RunConfig",
    out: str | Path | None,
    as_json: bool,
    log_json: bool,
    quiet: bool,
    fresh: bool = False,
    since: str | None = None,
    until: str | None = None,
    hold: bool = False,
    force: bool = False,
    where: "Where | None" = None,
) -> None:
    """Run the plan, then print what it found, whether or not its bundle goes live."""
    use_threads(config.threads)
    from pipelines.console import progress_to
    from pipelines.run import run as run_chain
    from pipelines.runner import HERE

    progress = progress_to(log_json, quiet)
    manifest = run_chain(config, out, progress, fresh, since, until, hold, force, where or HERE)
    _print_findings(manifest, as_json, quiet)
    if manifest.refusal is not None:
        raise manifest.refusal


def _print_findings(manifest: "Manifest", as_json: bool, quiet: bool) -> None:
    from pipelines.console import print_document
    from pipelines.summary import document, print_summary, warnings_of

    folder = manifest.folder
    if quiet:
        # They are no progress, and were not shown on the way.
        for warning in warnings_of(folder):
            typer.echo(f"warning: {warning}", err=True)
    if as_json:
        summary = document(folder, manifest.ran)
        if manifest.tracking is not None:
            summary["tracking"] = asdict(manifest.tracking)
        print_document(summary)
    elif not quiet:
        print_summary(folder)


def use_threads(threads: int | None) -> None:
    """Thread pools read these when their library loads, which has not happened yet."""
    if threads is not None:
        for name in (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "POLARS_MAX_THREADS",
        ):
            os.environ[name] = str(threads)


def _require_log(config: "RunConfig") -> None:
    data = config.data
    if not any((data.log, data.train, data.query, data.query_file)):
        raise UsageError(
            "nothing to run on", "Give CONFIG.toml, or --log FILE --user-col U --item-col I"
        )
