"""The command that serves a run over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from recsys.core.artefacts import RunFolder


def serve(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    host: Annotated[str, typer.Option("--host", help="Address to bind to; loopback only, there are no keys yet.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port.")] = 8000,
) -> None:
    """Serve the run's bundle over HTTP: lists, likenesses and reasons; the API is at /openapi.json."""
    from serving.server import serve as listen

    folder = RunFolder.existing(run)
    typer.echo(f"serving {folder.bundle.resolve().name} on http://{host}:{port}/v1/recommend/USER", err=True)
    listen(folder.bundle, host, port)
