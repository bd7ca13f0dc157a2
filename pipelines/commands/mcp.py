"""`recsys mcp`."""

from typing import Annotated

import typer

from pipelines.commands.options import Run
from pipelines.commands.serve import KeyFile, settings_of

Http = Annotated[
    int | None,
    typer.Option(
        "--http",
        metavar="PORT",
        min=1,
        max=65535,
        help="Answer at http://127.0.0.1:PORT/mcp in place of standard input and output.",
    ),
]


def mcp(run: Run, keys: KeyFile = None, http: Http = None) -> None:
    """Answer agents by the Model Context Protocol: recommend, similar, explain, compare, report.
    What changes something is offered to a key that allows it (RECSYS_API_KEY, of the file --keys).
    """
    from serving.mcp_server import serve_http, serve_stdio
    from serving.remote import following

    settings = settings_of(run, keys=keys, port=http or 0)
    with following(settings):
        if http is None:
            serve_stdio(settings)
        else:
            serve_http(settings)
