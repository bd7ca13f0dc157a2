"""The command `recsys`: its verbs, and what becomes of errors."""

import os
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer

from pipelines.commands import (
    add_items,
    bundles,
    card,
    check,
    data,
    demo,
    diff,
    evaluate,
    experiment,
    export,
    forget,
    init,
    listen,
    lookup,
    mcp,
    plan,
    run,
    schema,
    serve,
    show,
    tune,
)
from recsys import __version__
from recsys.core.errors import EXIT_BUG, EXIT_INTERRUPTED, RecsysError

app = typer.Typer(
    name="recsys",
    help="Recommendations by graph attention: from an interaction log to proven top-k lists.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # lines of a docstring flow together in the list of commands
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(init.init)
app.command("run")(run.run)
app.add_typer(data.app, name="data")
app.command("plan")(plan.plan)
app.command("train")(run.train)
app.command("tune")(tune.tune)
app.command("evaluate")(evaluate.evaluate)
app.command("index")(run.index)
app.command("recommend")(lookup.recommend)
app.command("similar")(lookup.similar)
app.command("explain")(lookup.explain)
app.command("batch")(lookup.batch)
app.command("add-items")(add_items.add_items)
app.command("list")(bundles.list_bundles)
app.command("promote")(bundles.promote)
app.command("rollback")(bundles.rollback)
app.command("verify")(bundles.verify)
app.command("diff")(diff.diff)
app.command("prune")(bundles.prune)
app.add_typer(experiment.app, name="experiment")
app.command("forget")(forget.forget)
app.command("export")(export.export)
app.command("push")(export.push)
app.command("show")(show.show)
app.command("schema")(schema.schema)
app.command("card")(card.card)
app.command("serve")(serve.serve)
app.command("listen")(listen.listen)
app.command("mcp")(mcp.mcp)
app.command("key")(serve.key)
app.command("doctor")(check.doctor)
app.command("demo")(demo.demo)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"recsys {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks of bugs here rather than in a file.")
    ] = False,
) -> None:
    if debug:
        os.environ["RECSYS_DEBUG"] = "1"


def main() -> NoReturn:
    """Entry point: 0 well, 1 data or machine, 2 usage, 3 bug, 4 a gate refused, 130 interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    warnings.showwarning = _show_warning
    # matplotlib would write its caches into the home folder.
    os.environ.setdefault(
        "MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / f"recsys-matplotlib-{os.getuid()}")
    )
    try:
        app()
    except RecsysError as error:
        _complain(f"error: {error}")
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, SystemExit) as left:
        code = left.code if isinstance(left, SystemExit) else EXIT_INTERRUPTED
        if code == EXIT_INTERRUPTED:  # typer turns Ctrl-C into this code and says nothing
            _complain("interrupted; the same command goes on from here")
        sys.exit(code)
    except Exception as error:
        _complain(f"bug in recsys: {type(error).__name__}: {error}. {_traceback_place()}")
        sys.exit(EXIT_BUG)
    sys.exit(0)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line, without the place in the code."""
    _complain(f"warning: {message}")


def _interrupt(number: int, frame: object) -> NoReturn:
    """SIGTERM (a scheduler's stop) leaves by the same way as Ctrl-C: temporary files go, the
    checkpoint stays.
    """
    raise KeyboardInterrupt


def _complain(message: str) -> None:
    print(message, file=sys.stderr)  # noqa: T201


def _traceback_place() -> str:
    """Print the traceback with --debug, else write it to a file; say where it is."""
    if os.environ.get("RECSYS_DEBUG"):
        traceback.print_exc()
        return "Please report it with the lines above"
    with tempfile.NamedTemporaryFile(
        "w", prefix="recsys-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    return f"Please report it with {file.name}"


if __name__ == "__main__":
    main()
