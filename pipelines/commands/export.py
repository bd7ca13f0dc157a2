"""`recsys export`: the vectors of a bundle for another search."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.lookup import open_lookup
from pipelines.commands.options import Json, Run

Form = Annotated[str, typer.Option("--format", metavar="FORMAT", help="parquet, npy or faiss.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to fill.")]


def export(run: Run, out: Out, form: Form = "parquet", as_json: Json = False) -> None:
    """Vectors and ids of users and items, to be loaded into a vector database (docs/export.md)."""
    from pipelines.console import print_document, print_text
    from recsys.bundle.export import export as export_vectors

    card = export_vectors(open_lookup(run).bundle, form, out)
    if as_json:
        print_document(card)
    else:
        print_text(
            f"{card['users']:,} users and {card['items']:,} items, {card['width']} wide, in {out}"
        )
        print_text(f"not in the vectors: {'; '.join(card['left_out'])}")
