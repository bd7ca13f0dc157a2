"""The commands that serve a run over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from recsys.core.artefacts import RunFolder
from recsys.core.errors import UsageError

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or a bundle folder.")]
Host = Annotated[
    str, typer.Option("--host", help="Address to bind to; loopback only without --keys.")
]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes that share the port.")]
KeyFile = Annotated[
    Path | None, typer.Option("--keys", metavar="FILE", help="TOML file of API keys.")
]
Events = Annotated[
    Path | None,
    typer.Option(
        "--events", metavar="FILE", help="Log of live events; RUN/events.jsonl when absent."
    ),
]
Origins = Annotated[
    list[str] | None,
    typer.Option("--cors", metavar="ORIGIN", help="Origin that pages may call from."),
]
Scopes = Annotated[
    list[str],
    typer.Option("--scope", metavar="SCOPE", help="read, events or admin; several times."),
]
Rate = Annotated[
    float | None, typer.Option("--rate", help="Requests per second; no limit when absent.")
]


def serve(
    run: Run,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Workers = 1,
    keys: KeyFile = None,
    events: Events = None,
    cors: Origins = None,
) -> None:
    """Serve the run's bundle over HTTP and follow it as it changes; the API is at /openapi.json."""
    from serving.server import serve as listen
    from serving.settings import Settings

    is_bundle = (run / "bundle.json").exists()
    folder = None if is_bundle else RunFolder.existing(run)
    if folder is not None and not folder.bundle.exists():
        raise UsageError(
            f"the run {str(run)!r} has no bundle yet", "Finish it with the recsys run that began it"
        )
    settings = Settings(
        bundle=run if folder is None else folder.bundle,
        run=None if folder is None else folder.path,
        host=host,
        port=port,
        workers=workers,
        keys=keys,
        events=events or (None if folder is None else folder.path / "events.jsonl"),
        audit=None if folder is None else folder.path / "audit.jsonl",
        cors=tuple(cors or ()),
    )
    note = "" if keys else "; no keys, so loopback only"
    typer.echo(f"serving {settings.bundle.resolve().name} on http://{host}:{port}{note}", err=True)
    listen(settings)


def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for.")],
    scope: Scopes = ["read"],  # noqa: B006  typer reads the default
    rate: Rate = None,
) -> None:
    """Make an API key: the key on stderr, once; the lines for the file of keys, which hold its
    hash, on stdout.
    """
    from serving.keys import new_key

    token, lines = new_key(name, scope, rate)
    typer.echo(f"key (not stored anywhere): {token}", err=True)
    typer.echo(lines, nl=False)
