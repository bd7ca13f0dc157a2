"""`recsys tune`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.options import Json, LogJson, Quiet, Seed, Sets, Threads, configuration
from pipelines.commands.run import use_threads

if TYPE_CHECKING:
    from pipelines.tune import Tuned
    from recsys.tune.document import TrialRow

_SHOWN = 10


def tune(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", show_default=False, help="Run configuration.")
    ],
    trials: Annotated[
        int, typer.Option(help="Trials in all, those of earlier calls included.")
    ] = 20,
    budget_minutes: Annotated[
        float, typer.Option(help="Minutes of trials in all, likewise.")
    ] = 20.0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder; runs/NAME-tune when absent.")
    ] = None,
    seed: Seed = None,
    threads: Threads = None,
    sets: Sets = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget the trials of earlier calls.")
    ] = False,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Search for a better configuration on validation, within a budget; the same command goes on
    after an interruption.

    The first trial is the configuration as given. Leaves tuned.toml, a complete configuration for
    `recsys run`.
    """
    run_config = configuration(config, sets, seed=seed, threads=threads)
    use_threads(run_config.threads)
    from pipelines.console import print_document, progress_to
    from pipelines.tune import tune as search
    from recsys.tune.search import Budget

    tuned = search(
        run_config, Budget(trials, budget_minutes), out, progress_to(log_json, quiet), fresh
    )
    if as_json:
        print_document(tuned.tuning.model_dump(mode="json"))
    elif not quiet:
        _print(tuned)


def _print(tuned: "Tuned") -> None:
    from pipelines.console import print_table, print_text
    from pipelines.tune import PAGE, TUNED
    from recsys.tune.values import shown

    tuning = tuned.tuning
    keys = [[row.key, row.tried, shown(row.given), shown(row.best)] for row in tuning.space]
    print_table("What was searched", ["key", "tried", "as given", "best"], keys)
    ranked = sorted(tuning.trials, key=lambda row: (row.state != "complete", -(row.value or 0.0)))
    rows = [
        [
            _name(row),
            "" if row.value is None else f"{row.value:.4f}",
            row.epochs,
            f"{row.seconds:.1f}",
            row.state,
        ]
        for row in ranked[:_SHOWN]
    ]
    columns = ["trial", tuning.metric.upper(), "epochs", "seconds", "state"]
    print_table(f"{len(rows)} best of {len(tuning.trials)} trials, on validation", columns, rows)
    print_text(tuning.headline)
    print_text(f"report: {tuned.folder / PAGE}\nnext:   recsys run {tuned.folder / TUNED}")


def _name(row: "TrialRow") -> str:
    return f"{row.number} (as given)" if row.given else str(row.number)
