"""`recsys evaluate`: one model, or lists made elsewhere, on a split given as files."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.flag_groups import takes
from pipelines.commands.options import (
    COLUMNS,
    DRAWS,
    Json,
    LogJson,
    Quiet,
    Sets,
    configuration,
    sets_keys,
)
from pipelines.commands.run import use_threads
from recsys.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from recsys.core.config import RunConfig
    from recsys.core.progress import Progress
    from recsys.phases.phase import Phase

_GRAPH_MODELS = ("model", "lightgcn")

Train = Annotated[str, typer.Option("--train", metavar="FILE", help="Interactions to learn from.")]
Test = Annotated[str, typer.Option("--test", metavar="FILE", help="Interactions to be found.")]
Validation = Annotated[
    str | None, typer.Option("--validation", metavar="FILE", help="Part of what is learnt from.")
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="A baseline (slim, gfcf, sasrec, …), model or lightgcn."),
]
Ranked = Annotated[
    str | None,
    typer.Option(
        "--ranked", metavar="FILE", help="Lists made elsewhere: user, item, rank or score."
    ),
]
Ks = Annotated[
    list[int] | None, typer.Option("-k", "--k", min=1, help="List length; repeat it for several.")
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "--param", metavar="NAME=VALUE", help="A setting of the baseline; usual ones else."
    ),
]


@takes(sets_keys({**COLUMNS, **DRAWS}))
def evaluate(
    keys: dict[str, object],
    train: Train,
    test: Test,
    model: Model = None,
    ranked: Ranked = None,
    validation: Validation = None,
    k: Ks = None,
    param: Params = None,
    sets: Sets = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Exact metrics of one model on published train and test files: every item is ranked, train is
    masked.
    """
    if (model is None) == (ranked is None):
        raise UsageError("what should be evaluated?", "Give either --model NAME or --ranked FILE")
    files = {"data.train": train, "data.test": test, "data.validation": validation}
    baselines = ["lightgcn"] if model == "lightgcn" else []
    judged = {"evaluate.ks": k or [20], "evaluate.baselines": baselines}
    config = configuration(None, sets, **files, **judged, **keys)
    use_threads(config.threads)
    from pipelines.console import progress_to

    progress = progress_to(log_json, quiet or as_json)
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        run_folder = Path(folder) / "run"
        document = _judge(run_folder, config, model, ranked, param or [], progress)
        document["dropped"] = _with_drops_of_reading(document["dropped"], run_folder)
    _show(document, as_json)


def _judge(
    folder: Path,
    config: "RunConfig",
    model: str | None,
    ranked: str | None,
    params: list[str],
    progress: "Progress",
) -> dict[str, Any]:
    if model in _GRAPH_MODELS:
        return _graph_model(folder, config, str(model), progress)
    from pipelines.phases_on_disk import load_phase
    from pipelines.run import run
    from recsys.baselines.catalogue import baseline

    if model is not None:
        baseline(model)  # an unknown one is refused before anything is read
    # Baselines take their settings as given, so that nothing needs to be held out for validation.
    config = config.model_copy(
        update={"split": config.split.model_copy(update={"validation_share": 0.0})}
    )
    run(config, folder, progress, until="split")
    final = load_phase(folder, config, "final")
    _require_warm_users(final)
    if ranked is not None:
        return _lists(final, ranked)
    return _baseline(final, str(model), params)


def _require_warm_users(final: "Phase") -> None:
    """Raises DataError when nothing can be averaged, naming what every test row was dropped for."""
    if not len(final.judge.held_out_users):
        counts = ", ".join(
            f"{count:,} {reason}" for reason, count in sorted(final.judge.held_out.dropped.items())
        )
        raise DataError(
            f"no test row has both a user and an item of the train file ({counts or 'there are no rows'})",
            "Check that both files use the same ids",
        )


def _baseline(final: "Phase", name: str, params: list[str]) -> dict[str, Any]:
    from recsys.baselines.catalogue import baseline

    baseline_model = baseline(name)
    usual = baseline_model.grid[0]
    chosen = {**usual, **dict(_param(text, usual) for text in params)}
    if reason := baseline_model.available():
        raise UsageError(f"{baseline_model.title}: {reason}")
    scorer = baseline_model.fit(final.interactions, final.target, chosen, final.config.seed)
    lists = final.judge.ranked(scorer, max(final.config.evaluate.ks))
    return {"model": name, "params": chosen, **_document(final, lists)}


def _graph_model(
    folder: Path, config: "RunConfig", name: str, progress: "Progress"
) -> dict[str, Any]:
    """The whole chain as far as the test, epochs chosen on validation."""
    from pipelines.phases_on_disk import load_phase
    from pipelines.places import TEST
    from pipelines.run import run
    from pipelines.stages.scores import Scored

    run(config, folder, progress, until="test-model")
    scored = Scored.load(folder / TEST.format(bucket=name))
    final = load_phase(folder, config, "final")
    return {"model": name, "params": scored.params, **_document(final, scored.ranked)}


def _lists(final: "Phase", file: str) -> dict[str, Any]:
    """Lists made elsewhere, in the ids of the log."""
    from recsys.evaluate.judge import judge
    from recsys.evaluate.lists import catalogue_of

    config = final.config
    catalogue = catalogue_of(final.interactions, final.target)
    judgement = judge(
        _read_lists(file, config),
        final.interactions,
        final.judge.held_out_matrix,
        config.evaluate.ks,
        final.seen,
        catalogue,
    )
    facts = _document(final, judgement.ranked)
    return {"model": file, "params": {}, **facts, "lists": dict(judgement.counts)}


def _read_lists(file: str, config: "RunConfig") -> Any:
    """The table of ranked lists with standard column names."""
    import polars as pl

    from recsys.core.tables import ITEM_ID, RANK, SCORE, USER_ID
    from recsys.logs.side_tables import read_lists

    # Ids in text stay as written: "007" is not 7.
    table = read_lists(file)
    names = {config.data.user_col: USER_ID, config.data.item_col: ITEM_ID}
    table = table.rename({old: new for old, new in names.items() if old in table.columns})
    numbers = [
        pl.col(name).cast(pl.Float64, strict=False)
        for name in (RANK, SCORE)
        if name in table.columns
    ]
    return table.with_columns(numbers)


def _document(final: "Phase", lists: Any) -> dict[str, Any]:
    """Metrics of lists for the held-out users, and what was left out."""
    from recsys.evaluate.lists import catalogue_of
    from recsys.evaluate.metrics import rank_metrics

    catalogue = catalogue_of(final.interactions, final.target)
    ks, users = final.config.evaluate.ks, final.judge.held_out_users
    ranking = rank_metrics(lists, users, final.judge.held_out_matrix, ks, catalogue)
    splits = final.required_splits
    return {
        "metrics": dict(ranking.overall),
        "users": len(users),
        "items": final.interactions.num_items,
        "train_rows": len(final.rows),
        "test_rows": len(splits.test),
        "dropped": dict(splits.drops + final.judge.held_out.dropped),
    }


def _with_drops_of_reading(dropped: dict[str, int], folder: Path) -> dict[str, int]:
    """Rows that do not count, with those of both files that were dropped when they were read."""
    from pipelines.places import LOG
    from recsys.core.artefacts import read_json
    from recsys.core.tables import Drops

    reading = Drops(read_json(folder / LOG / "ingest.json")["drops"])
    return dict(reading + Drops(dropped))


def _param(text: str, known: dict[str, Any]) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or name not in known:
        raise UsageError(
            f"--param {text!r} is no setting",
            f"Settings: {', '.join(known) or 'none'}, as NAME=VALUE",
        )
    try:
        return name, type(known[name])(json.loads(value))
    except (ValueError, TypeError):
        raise UsageError(
            f"--param {text!r}: the value is not a number", f"Usual is {known[name]}"
        ) from None


def _show(document: dict[str, Any], as_json: bool) -> None:
    from pipelines.console import print_document, print_table

    if as_json:
        print_document(document)
        return
    rows = [[name, f"{value:.4f}"] for name, value in document["metrics"].items()]
    print_table(
        f"{document['model']} on {document['users']:,} test users", ["metric", "value"], rows
    )
