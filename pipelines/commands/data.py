"""`recsys data check | fetch | split`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

import pipelines
from pipelines.commands.flag_groups import takes
from pipelines.commands.options import (
    COLUMNS,
    LOG,
    SIDE_TABLES,
    Config,
    Json,
    LogJson,
    Quiet,
    Sets,
    configuration,
    one_or_many,
    sets_keys,
)
from pipelines.commands.run import use_threads

app = typer.Typer(
    help="Look at a log, fetch a public one, or split one into files.", no_args_is_help=True
)
_SOURCES = Path(pipelines.__file__).parent.parent / "data" / "sources"


@app.command()
@takes(sets_keys({**COLUMNS, **SIDE_TABLES}))
def check(
    keys: dict[str, object],
    log: Annotated[
        list[str],
        typer.Argument(metavar="LOG", help="File, folder, glob or cloud URL of interactions."),
    ],
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """What was read, how it is distributed, what looks wrong, and what cleaning would drop."""
    config = configuration(None, sets, **{"data.log": one_or_many(log)}, **keys)
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
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A source in data/sources, or a descriptor's path."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to fill; data/NAME when absent.")
    ] = None,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Download a public log, verify it and turn it into Parquet; an interrupted download goes on."""
    from pipelines.console import print_text, progress_to
    from recsys.logs.fetch import fetch as fetch_source
    from recsys.logs.fetch import find_descriptor, read_descriptor

    path = Path(name)
    is_file = path.suffix == ".toml" and path.exists()
    source = read_descriptor(path) if is_file else find_descriptor(name, _SOURCES)
    folder = fetch_source(source, out or Path("data") / path.stem, progress_to(log_json, quiet))
    print_text(str(folder))


@app.command()
@takes(sets_keys(LOG))
def split(
    keys: dict[str, object],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for train, validation and test .parquet.")
    ],
    config: Config = None,
    sets: Sets = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Clean and split a log into files in its own ids; the audit refuses a split that leaks."""
    run_config = configuration(config, sets, **keys)
    use_threads(run_config.threads)
    from pipelines.console import print_document, print_table, progress_to
    from pipelines.exports import export_splits
    from pipelines.run import run

    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        run(run_config, Path(folder) / "run", progress_to(log_json, quiet), until="audit")
        facts = export_splits(Path(folder) / "run", out)
    if as_json:
        print_document(facts)
    else:
        rows = [[name, f"{count:,}"] for name, count in facts["rows"].items()]
        print_table(f"{facts['method']} split in {out}", ["part", "rows"], rows)
