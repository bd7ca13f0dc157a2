"""`recsys diff`: two bundles side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.lookup import open_lookup
from pipelines.commands.options import Count, Json
from recsys.core.errors import GateRefused, UsageError

if TYPE_CHECKING:
    from recsys.releases.diff import Diff

Before = Annotated[
    Path, typer.Argument(metavar="A", help="Bundle folder, or run folder for the one it serves.")
]
After = Annotated[
    Path | None,
    typer.Argument(
        metavar="[B]",
        help="Likewise; without it A is a run folder: what rollback goes to against the live one.",
    ),
]
Sample = Annotated[int, typer.Option("--users", min=1, help="How many users' lists are compared.")]


def diff(
    a: Before, b: After = None, k: Count = 10, users: Sample = 1_000, as_json: Json = False
) -> None:
    """What B does better or worse than A: metrics, lists, exposure, latency and size. Exit 4 when
    it is worse.
    """
    from dataclasses import asdict

    from pipelines.console import print_document
    from recsys.releases.diff import compare

    if b is None:
        a, b = _before(a), a
    found = compare(open_lookup(a).bundle, open_lookup(b).bundle, k, users)
    if as_json:
        print_document(_named(asdict(found)))
    else:
        _print(found)
    if found.finding == "worse":
        raise GateRefused(
            f"bundle {found.b} is worse than {found.a} on {found.deciding}",
            "Keep the old one: recsys rollback",
        )


def _before(run: Path) -> Path:
    """The bundle that rollback goes to. Raises UsageError when there is none."""
    from recsys.core.artefacts import RunFolder
    from recsys.releases.life_cycle import rollback_target

    folder = RunFolder.existing(run)
    name = rollback_target(folder)
    if name is None:
        raise UsageError(
            f"{run} has no earlier bundle to compare with", "Name two bundles: recsys diff A B"
        )
    return folder.bundles / name


def _named(value: Any) -> Any:
    """Named tuples as objects."""
    if hasattr(value, "_asdict"):
        return {name: _named(one) for name, one in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _named(one) for name, one in value.items()}
    return [_named(one) for one in value] if isinstance(value, list) else value


def _print(found: "Diff") -> None:
    from pipelines.console import print_table, print_text

    print_text(f"{found.b} against {found.a}: {found.finding} on {found.deciding or 'no metric'}")
    if not found.same_rows:
        print_text(
            "They were not tested on the same rows: the differences below are of the rows too."
        )
    cells = [
        [one.metric, f"{one.a:.4f}", f"{one.b:.4f}", _interval(one), f"{one.p:.3f}"]
        for one in found.deltas
    ]
    print_table(
        f"{found.test_users:,} common test users", ["metric", "A", "B", "B − A (95 %)", "p"], cells
    )
    overlap = found.overlap
    print_text(
        f"Top {overlap.k} of {overlap.users:,} users: {overlap.share:.0%} of the items stay, {overlap.same:.0%} of the lists"
    )
    for title, movers in (("Exposure won", found.won), ("Exposure lost", found.lost)):
        print_table(
            title,
            ["item", "places in A", "in B"],
            [[one.title or one.item, one.a, one.b] for one in movers],
        )
    costs = [
        [name.upper(), f"{c.p50_ms:.2f}", f"{c.p95_ms:.2f}", f"{c.bytes / 1e6:.1f}"]
        for name, c in found.costs.items()
    ]
    print_table("Cost of one list", ["", "p50 ms", "p95 ms", "MB on disk"], costs)


def _interval(one: Any) -> str:
    return f"{one.difference:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
