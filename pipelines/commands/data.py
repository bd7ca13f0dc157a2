"""`recsys data check | fetch | split`."""

import typer

app = typer.Typer(help="Look at a log, fetch a public one, or split one into files.", no_args_is_help=True)
