"""`recsys schema`."""

from pathlib import Path
from typing import Annotated

import typer


def schema(
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Written there; stdout when absent."),
    ] = None,
) -> None:
    """The JSON schema of a run configuration, by which editors complete and check a TOML file."""
    from pipelines.console import print_text
    from pipelines.schema import schema_text, write_schema

    if out is None:
        print_text(schema_text())
    else:
        write_schema(out)
