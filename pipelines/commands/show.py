"""`recsys show`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json
from recsys.core.artefacts import RunFolder


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")], as_json: Json = False
) -> None:
    """Tables of what is in a run folder: data and drops, models and baselines, index, timings."""
    from pipelines.console import print_document
    from pipelines.summary import document, print_summary

    folder = RunFolder.existing(run)
    if as_json:
        print_document(document(folder))
    else:
        print_summary(folder)
