"""`recsys card`: a bundle as others read of it."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.lookup import open_lookup
from pipelines.commands.options import Run

Data = Annotated[bool, typer.Option("--data", help="The card of the data, not of the model.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write README.md and DATA.md there.")
]
License = Annotated[
    str | None,
    typer.Option("--license", metavar="NAME", help="Identifier of the Hugging Face Hub."),
]


def card(run: Run, data: Data = False, out: Out = None, license_name: License = None) -> None:
    """The model card of a bundle (with --data the data card), in the format of the Hugging Face Hub."""
    from pipelines.console import print_text
    from recsys.evaluate.cards import data_card, model_card, write_cards

    bundle = open_lookup(run).bundle
    if out is not None:
        for path in write_cards(bundle, out, license_name):
            print_text(str(path))
        return
    make = data_card if data else model_card
    print_text(make(bundle, license_name))
