"""`recsys run`, `recsys train`, `recsys index`: the plan, whole or in part."""

import os
from pathlib import Path
from typing import Annotated

import typer

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
from recsys.core.config import RunConfig, with_overrides
from recsys.core.errors import UsageError

Fresh = Annotated[bool, typer.Option("--fresh", help="Run every stage again.")]
Hold = Annotated[
    bool,
    typer.Option(
        "--hold", help="Leave the old bundle live; recsys promote switches to the new one."
    ),
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


@sets_keys(LOG)
def run(
    keys: dict[str, object],
    config: Config = None,
    out: Out = None,
    sets: Sets = None,
    fresh: Fresh = False,
    hold: Hold = False,
    forecast: Forecast = False,
    budget_minutes: BudgetMinutes = None,
    no_first: NoFirst = False,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole chain: from a log to a report, a bundle and an index. Unchanged stages are
    skipped.
    """
    first = False if no_first else None
    made = configuration(config, sets, budget_minutes=budget_minutes, first=first, **keys)
    _require_log(made)
    if forecast:
        say_forecast(made, out, as_json, log_json, quiet)
        return
    finish(made, out, as_json, log_json, quiet, fresh=fresh, hold=hold)


@sets_keys(LOG)
def train(
    keys: dict[str, object],
    config: Config = None,
    out: Out = None,
    sets: Sets = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Run the chain up to the training that chooses the number of epochs on validation."""
    made = configuration(config, sets, **keys)
    _require_log(made)
    finish(made, out, as_json, log_json, quiet, until="train-select")


def index(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    sets: Sets = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Tune the index of a run again, for example with --set index.target_recall=0.95; the bundle
    follows.
    """
    from recsys.core.artefacts import RunFolder

    stored = RunFolder.existing(run_folder).read_manifest()["config"]
    finish(
        with_overrides(stored, sets or []),
        run_folder,
        as_json,
        log_json,
        quiet,
        since="index-final",
    )


def say_forecast(
    config: RunConfig, out: Path | None, as_json: bool, log_json: bool, quiet: bool
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
    config: RunConfig,
    out: Path | None,
    as_json: bool,
    log_json: bool,
    quiet: bool,
    fresh: bool = False,
    since: str | None = None,
    until: str | None = None,
    hold: bool = False,
) -> None:
    """Run the plan, then print what it found."""
    use_threads(config.threads)
    from pipelines.console import print_document, progress_to
    from pipelines.run import run as run_chain

    manifest = run_chain(config, out, progress_to(log_json, quiet), fresh, since, until, hold)
    from pipelines.summary import document, print_summary, warnings_of

    if quiet:
        # They are no progress, and were not shown on the way.
        for warning in warnings_of(manifest.folder):
            typer.echo(f"warning: {warning}", err=True)
    if as_json:
        print_document(document(manifest.folder, manifest.ran))
    elif not quiet:
        print_summary(manifest.folder)


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


def _require_log(config: RunConfig) -> None:
    if config.data.log is None and config.data.train is None:
        raise UsageError(
            "nothing to run on", "Give CONFIG.toml, or --log FILE --user-col U --item-col I"
        )
