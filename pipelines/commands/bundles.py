"""`recsys list | promote | rollback | verify | prune`: the bundles of a run folder."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.options import Json
from pipelines.run_folders import to_change, to_read
from recsys.core.addresses import is_object
from recsys.core.artefacts import RunFolder

if TYPE_CHECKING:
    from recsys.releases.life_cycle import Listed, Promotion

Folder = Annotated[str, typer.Argument(metavar="RUN", help="Run folder or its URL.")]
Name = Annotated[str, typer.Argument(metavar="BUNDLE", help="Name of a bundle, or how it begins.")]
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[BUNDLE]...", help="Bundles; all when absent.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Even if its own report calls it worse than another model.")
]
Keep = Annotated[int, typer.Option("--keep", min=1, help="How many of the newest stay.")]


def list_bundles(run: Folder, as_json: Json = False) -> None:
    """The bundles of a run folder, newest first, and which one is live."""
    from pipelines.console import print_document, print_table

    bundles, history = _listed(run)
    if as_json:
        promotions = [asdict(promotion) for promotion in history]
        documents = [asdict(bundle) for bundle in bundles]
        print_document({"bundles": documents, "promotions": promotions})
        return
    columns = ["bundle", "", "written", "MB", "users", "items", "test"]
    print_table(f"bundles of {run}", columns, [_row(bundle) for bundle in bundles])


def promote(run: Folder, bundle: Name, force: Force = False, as_json: Json = False) -> None:
    """Verify a bundle and make it live. Refused (exit 4) when its own report calls it worse than
    another model.
    """
    from recsys.releases import life_cycle

    with to_change(run) as folder:
        promotion = life_cycle.promote(folder, bundle, force)
    _tell(folder, promotion, as_json)


def rollback(run: Folder, as_json: Json = False) -> None:
    """Make the bundle live that was so before the present one."""
    from recsys.releases import life_cycle

    with to_change(run) as folder:
        promotion = life_cycle.rollback(folder)
    _tell(folder, promotion, as_json)


def verify(run: Folder, bundles: Names = None, as_json: Json = False) -> None:
    """Compare every hash with the manifest and replay the golden requests; exit 1 names what is
    wrong.
    """
    from pipelines.console import print_document, print_text
    from recsys.releases.life_cycle import listed
    from recsys.releases.life_cycle import verify as verify_bundle

    with to_change(run) as folder:
        names = bundles or [bundle.name for bundle in listed(folder)]
        whole = [verify_bundle(folder, name).name for name in names]
    if as_json:
        print_document({"whole": whole})
        return
    lines = [f"{name}: whole, and answers as when it was written" for name in whole]
    print_text("\n".join(lines))


def prune(run: Folder, keep: Keep = 3, as_json: Json = False) -> None:
    """Delete older bundles; the live one and the one that rollback goes to always stay."""
    from pipelines.console import print_document, print_text
    from recsys.releases.life_cycle import prune as prune_bundles

    with to_change(run) as folder:
        gone = prune_bundles(folder, keep)
    if as_json:
        print_document({"deleted": gone})
    else:
        print_text(f"deleted {', '.join(gone) or 'nothing'}")


def _listed(run: str) -> "tuple[Sequence[Listed], Sequence[Promotion]]":
    """The bundles of a run folder, and its switches; at a URL one small document says them."""
    from recsys.releases import life_cycle
    from recsys.releases.remote import RemoteRun

    if is_object(run):
        state = RemoteRun(run, "served").state()
        return state.listed(), state.promotions
    folder = to_read(run)
    return life_cycle.listed(folder), life_cycle.history(folder)


def _tell(folder: RunFolder, promotion: "Promotion | None", as_json: bool) -> None:
    from pipelines.console import print_document, print_text
    from recsys.releases.life_cycle import live

    if as_json:
        document = None if promotion is None else asdict(promotion)
        print_document({"live": live(folder), "promotion": document})
    elif promotion is None:
        print_text(f"{live(folder)} is live already")
    else:
        print_text(f"{promotion.bundle} is live; {promotion.before or 'nothing'} was before")


def _row(bundle: "Listed") -> list[Any]:
    test = ""
    if bundle.test is not None:
        test = f"{bundle.deciding} {bundle.test:.4f}"
    return [
        bundle.name,
        _mark(bundle),
        bundle.written,
        f"{bundle.bytes / 1e6:.1f}",
        f"{bundle.users:,}",
        f"{bundle.items:,}",
        test,
    ]


def _mark(bundle: "Listed") -> str:
    if bundle.live:
        return "live"
    if bundle.held:
        return "held"
    return "rollback goes here" if bundle.rolls_back_to else ""
