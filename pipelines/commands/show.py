"""`recsys show`."""

from typing import Annotated

import typer

from pipelines.commands.options import Json
from pipelines.run_folders import to_read


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or its URL.")],
    as_json: Json = False,
) -> None:
    """Tables of what is in a run folder: data and drops, models and baselines, index, timings."""
    from pipelines.console import print_document
    from pipelines.summary import document, print_summary

    folder = to_read(run)
    if as_json:
        print_document(document(folder))
    else:
        print_summary(folder)
