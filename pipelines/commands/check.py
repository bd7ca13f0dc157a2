"""`recsys doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json

Folder = Annotated[Path, typer.Option("--out", help="Where runs would be written.")]


def doctor(out: Folder = Path("runs"), as_json: Json = False) -> None:
    """Check the environment: versions, imports, threads, memory, disk. Exit code 1 when something
    required fails.
    """
    from pipelines.console import print_document, print_table
    from pipelines.doctor import document, examine

    diagnosis = document(examine(out))
    if as_json:
        print_document(diagnosis)
    else:
        rows = [
            [check["status"], check["name"], check["found"], check["remedy"]]
            for check in diagnosis["checks"]
        ]
        print_table("recsys doctor", ["", "check", "found", "remedy"], rows)
    if not diagnosis["healthy"]:
        raise typer.Exit(1)
