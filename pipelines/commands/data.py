"""`recsys data check | fetch | split`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

import pipelines
from pipelines.commands.options import (
    BehaviorCol,
    Config,
    ItemCol,
    Items,
    Json,
    Log,
    LogJson,
    Quiet,
    RatingCol,
    Seed,
    Sets,
    Target,
    TimeCol,
    UserCol,
    WeightCol,
    configuration,
    one_or_many,
)

app = typer.Typer(help="Look at a log, fetch a public one, or split one into files.", no_args_is_help=True)
_SOURCES = Path(pipelines.__file__).parent.parent / "data" / "sources"


@app.command()
def check(
    log: Annotated[list[str], typer.Argument(metavar="LOG", help="File, folder, glob or cloud URL of interactions.")],
    user_col: UserCol = None,
    item_col: ItemCol = None,
    time_col: TimeCol = None,
    behavior_col: BehaviorCol = None,
    weight_col: WeightCol = None,
    rating_col: RatingCol = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """What was read, how it is distributed, what looks wrong, and what cleaning would drop."""
    config = configuration(
        None,
        sets,
        data__log=one_or_many(log),
        data__user_col=user_col,
        data__item_col=item_col,
        data__time_col=time_col,
        data__behavior_col=behavior_col,
        data__weight_col=weight_col,
        data__rating_col=rating_col,
    )
    from pipelines.check_tables import print_check
    from pipelines.console import print_document
    from recsys.logs.check import check_log

    report = check_log(log if len(log) > 1 else log[0], config.data, config.clean)
    if as_json:
        print_document(report.document())
    else:
        print_check(report.document())


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A source in data/sources, or a descriptor's path.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder to fill; data/NAME when absent.")] = None,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Download a public log, verify it and turn it into Parquet; an interrupted download goes on."""
    from pipelines.console import print_text, progress_to
    from recsys.logs.fetch import fetch as fetch_source
    from recsys.logs.fetch import find_descriptor, read_descriptor

    path = Path(name)
    source = read_descriptor(path) if path.suffix == ".toml" and path.exists() else find_descriptor(name, _SOURCES)
    folder = fetch_source(source, out or Path("data") / path.stem, progress_to(log_json, quiet))
    print_text(str(folder))


@app.command()
def split(
    out: Annotated[Path, typer.Option("--out", help="Folder for train, validation and test .parquet.")],
    config: Config = None,
    log: Log = None,
    user_col: UserCol = None,
    item_col: ItemCol = None,
    time_col: TimeCol = None,
    behavior_col: BehaviorCol = None,
    rating_col: RatingCol = None,
    items: Items = None,
    target: Target = None,
    seed: Seed = None,
    sets: Sets = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Clean and split a log into files in its own ids; the audit refuses a split that leaks."""
    made = configuration(
        config,
        sets,
        data__log=one_or_many(log),
        data__user_col=user_col,
        data__item_col=item_col,
        data__time_col=time_col,
        data__behavior_col=behavior_col,
        data__rating_col=rating_col,
        data__items=items,
        graph__target=target,
        seed=seed,
    )
    from pipelines.console import print_document, print_table, progress_to
    from pipelines.exports import export_splits
    from pipelines.run import run

    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        run(made, Path(folder) / "run", progress_to(log_json, quiet), until="audit")
        found = export_splits(Path(folder) / "run", out)
    if as_json:
        print_document(found)
    else:
        print_table(
            f"{found['method']} split in {out}", ["part", "rows"], [list(pair) for pair in found["rows"].items()]
        )
