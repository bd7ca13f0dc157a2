"""`recsys add-items`: items that nobody took yet join the bundle that a run serves."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.options import Json
from pipelines.run_folders import to_change
from recsys.core.artefacts import RunFolder

if TYPE_CHECKING:
    from recsys.core.config import DataConfig

Run = Annotated[str, typer.Argument(metavar="RUN", help="Run folder or its URL.")]
NewItems = Annotated[
    str, typer.Option("--items", metavar="FILE", help="Table of new items: id, title, attributes.")
]
ItemCol = Annotated[
    str | None,
    typer.Option("--item-col", metavar="NAME", help="Column of the item ids; the run's else."),
]
TitleCol = Annotated[
    str | None,
    typer.Option("--title-col", metavar="NAME", help="Column of the titles; the run's else."),
]


def add_items(
    run: Run,
    items: NewItems,
    item_col: ItemCol = None,
    title_col: TitleCol = None,
    as_json: Json = False,
) -> None:
    """Items with attributes and no interactions get vectors; a new bundle holds them beside the
    others and is served.

    The same file again changes nothing. The next `recsys run` makes its bundle from its own item
    table.
    """
    from pipelines.console import print_document, print_text
    from recsys.core.errors import UsageError
    from recsys.logs.side_tables import read_item_rows
    from recsys.releases.life_cycle import publish
    from recsys.releases.publish import load_verified, write_bundle

    with to_change(run) as folder, folder.locked():
        if not folder.bundle.exists():
            raise UsageError(
                f"the run {str(run)!r} has no bundle yet",
                "Finish it with the recsys run that began it",
            )
        bundle = load_verified(folder.bundle)
        columns = _columns(folder, item_col=item_col, title_col=title_col)
        new = bundle.read_new_items(read_item_rows(items, columns))
        before = path = folder.bundle.resolve()
        if len(new):
            path = write_bundle(folder.bundles, bundle.append_items(new))
        publish(folder, path, "add-items")
    facts = {
        "bundle": path.name,
        "before": before.name,
        "added": len(new),
        "left_out": dict(new.drops),
    }
    facts |= {"unknown_values": new.unknown}
    if as_json:
        print_document(facts)
        return
    lost = [f"{count:,} {what}" for what, count in new.drops.items()]
    lost += [f"{count:,} unknown values of {name}" for name, count in new.unknown.items() if count]
    print_text(
        f"{len(new):,} items added, serving bundle {path.name}"
        + "".join(f"; {phrase}" for phrase in lost)
    )


def _columns(folder: RunFolder, **named: str | None) -> "DataConfig":
    """How columns of items are called: as named here, else as in the run's own item table."""
    from recsys.core.config import DataConfig

    of_run = folder.read_manifest().get("config", {}).get("data", {})
    columns = {}
    for setting, name in named.items():
        if name is not None:
            columns[setting] = name
        elif setting in of_run:
            columns[setting] = of_run[setting]
    return DataConfig(**columns)
