"""The commands that serve a run over HTTP."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipelines.commands.options import Run
from pipelines.run_folders import served_place
from recsys.core.addresses import is_object

if TYPE_CHECKING:
    from serving.settings import Settings

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
Images = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        metavar="ORIGIN",
        help="Origin from which the page may show pictures of items; none when absent.",
    ),
]
LogForm = Annotated[Literal["text", "json"], typer.Option("--log", help="Form of a log line.")]
AccessLog = Annotated[
    bool, typer.Option("--access-log", help="Log every request, not failed ones alone.")
]
Prefix = Annotated[
    str,
    typer.Option("--prefix", metavar="PATH", help="Path that a proxy in front serves it under."),
]
Drain = Annotated[
    float,
    typer.Option(
        "--drain",
        min=0,
        metavar="SECONDS",
        help="Told to stop, say so at /readyz and go on for so long.",
    ),
]
Scopes = Annotated[
    list[str],
    typer.Option("--scope", metavar="SCOPE", help="read, events, admin or metrics; several times."),
]
Rate = Annotated[
    float | None, typer.Option("--rate", help="Plain lists per second; no limit when absent.")
]
Days = Annotated[
    int | None,
    typer.Option("--days", min=1, help="After which it expires; never when absent."),
]
Otel = Annotated[
    bool,
    typer.Option("--otel", help="Send traces and metrics by OTLP to where OTEL_* variables say."),
]


def serve(
    run: Run,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Workers = 1,
    keys: KeyFile = None,
    events: Events = None,
    cors: Origins = None,
    images: Images = None,
    log: LogForm = "text",
    access_log: AccessLog = False,
    drain: Drain = 0.0,
    otel: Otel = False,
    prefix: Prefix = "",
) -> None:
    """Serve the run's bundle over HTTP and follow it as it changes; the API is at /openapi.json."""
    from serving.page_policy import checked_origins
    from serving.server import serve as listen

    settings = settings_of(
        run,
        events,
        host=host,
        port=port,
        workers=workers,
        keys=keys,
        cors=tuple(cors or ()),
        images=checked_origins(images or ()),
        log=log,
        access_log=access_log,
        drain_seconds=drain,
        otel=otel,
        prefix=prefix.rstrip("/"),
    )
    listen(settings)


def settings_of(run: str, events: Path | None = None, **others: Any) -> "Settings":
    """Settings of a service over a run, whose logs stand beside it.

    Args:
        run: Run folder or its URL, or a bundle folder.
        events: Log of live events; of the run when None.
        others: More settings by name.

    Raises:
        UsageError: There is no bundle.
    """
    from serving.settings import Settings

    bundle, folder = served_place(run)
    if folder is None:
        return Settings(bundle=bundle, events=events, **others)
    return Settings(
        bundle=bundle,
        run=folder,
        url=run if is_object(run) else None,
        events=events or folder / "events.jsonl",
        audit=folder / "audit.jsonl",
        **others,
    )


def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for.")],
    scope: Scopes = ["read"],  # noqa: B006  typer reads the default
    rate: Rate = None,
    days: Days = None,
) -> None:
    """Make an API key: the key on stderr, once; the lines for the file of keys, which hold its
    hash, on stdout.
    """
    from serving.keys import new_key

    token, lines = new_key(name, scope, rate, days)
    typer.echo(f"key (not stored anywhere): {token}", err=True)
    typer.echo(lines, nl=False)
