"""`recsys diff`: two bundles side by side."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.lookup import open_lookup
from pipelines.commands.options import Count, Json
from pipelines.run_folders import to_read
from recsys.core.errors import GateRefused, UsageError

if TYPE_CHECKING:
    from recsys.releases.diff import Diff

Before = Annotated[
    str, typer.Argument(metavar="A", help="Bundle folder, or run folder for the one it serves.")
]
After = Annotated[
    str | None,
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
    comparison = compare(open_lookup(a).bundle, open_lookup(b).bundle, k, users)
    if as_json:
        print_document(_named(asdict(comparison)))
    else:
        _print(comparison)
    if comparison.finding == "worse":
        raise GateRefused(
            f"bundle {comparison.b} is worse than {comparison.a} on {comparison.deciding}",
            "Keep the old one: recsys rollback",
        )


def _before(run: str) -> str:
    """The bundle that rollback goes to. Raises UsageError when there is none."""
    from recsys.releases.life_cycle import rollback_target

    folder = to_read(run, every_bundle=True)
    name = rollback_target(folder)
    if name is None:
        raise UsageError(
            f"{run} has no earlier bundle to compare with", "Name two bundles: recsys diff A B"
        )
    return str(folder.bundles / name)


def _named(value: Any) -> Any:
    """Named tuples as objects."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {name: _named(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_named(member) for member in value]
    return value


def _print(comparison: "Diff") -> None:
    from pipelines.console import print_table, print_text

    print_text(
        f"{comparison.b} against {comparison.a}: {comparison.finding} on {comparison.deciding or 'no metric'}"
    )
    if not comparison.same_rows:
        print_text(
            "They were not tested on the same rows: the differences below are of the rows too."
        )
    title = f"{comparison.test_users:,} common test users"
    rows = [_delta_row(delta) for delta in comparison.deltas]
    print_table(title, ["metric", "A", "B", "B − A (95 %)", "p"], rows)
    overlap = comparison.overlap
    print_text(
        f"Top {overlap.k} of {overlap.users:,} users: {overlap.share:.0%} of the items stay, "
        f"{overlap.same:.0%} of the lists"
    )
    for title, movers in (("Exposure won", comparison.won), ("Exposure lost", comparison.lost)):
        rows = [[mover.title or mover.item, mover.a, mover.b] for mover in movers]
        print_table(title, ["item", "places in A", "in B"], rows)
    rows = [_cost_row(name, cost) for name, cost in comparison.costs.items()]
    print_table("Cost of one list", ["", "p50 ms", "p95 ms", "MB on disk"], rows)


def _delta_row(delta: Any) -> list[object]:
    interval = f"{delta.difference:+.4f} ({delta.low:+.4f} to {delta.high:+.4f})"
    return [delta.metric, f"{delta.a:.4f}", f"{delta.b:.4f}", interval, f"{delta.p:.3f}"]


def _cost_row(name: str, cost: Any) -> list[object]:
    megabytes = cost.bytes / 1e6
    return [name.upper(), f"{cost.p50_ms:.2f}", f"{cost.p95_ms:.2f}", f"{megabytes:.1f}"]
