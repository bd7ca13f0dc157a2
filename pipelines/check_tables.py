"""`recsys data check` for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.console import print_table, print_text


def print_check(check: Mapping[str, Any]) -> None:
    """The document of a CheckReport as tables.

    Facts, distributions, drops, a sample, and what looks wrong.
    """
    print_table("Log", ["", ""], _facts(check))
    print_table("Rows per", ["", *check["per_user"]], _distributions(check))
    if check["ratings"]:
        print_table("Ratings", ["rating", "rows"], _counts(check["ratings"]))
    drops = _counts(check["drops"]) or [["nothing", ""]]
    print_table("Would be dropped", ["reason", "rows"], drops)
    if sample := check["sample"]:
        columns = list(sample[0])
        values = [list(row.values()) for row in sample]
        print_table("As understood", columns, values)
    print_text(_warnings(check["warnings"]))


def _counts(counts: Mapping[str, int]) -> list[list[object]]:
    """A row for each name."""
    table: list[list[object]] = []
    for name, count in counts.items():
        table.append([name, f"{count:,}"])
    return table


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return "Nothing looks wrong."
    lines = [f"- {warning}" for warning in warnings]
    return "\n".join(["What looks wrong:", *lines])


def _distributions(check: Mapping[str, Any]) -> list[list[object]]:
    """Rows of each user and of each item."""
    table: list[list[object]] = []
    for side in ("user", "item"):
        quantiles = check[f"per_{side}"].values()
        counts = [f"{count:,.0f}" for count in quantiles]
        table.append([side, *counts])
    return table


def _facts(check: Mapping[str, Any]) -> list[list[object]]:
    columns = []
    for column, source in check["columns"].items():
        columns.append(f"{column} = {source['name']} ({source['type']})")
    behaviors = []
    for name, count in check["behaviors"].items():
        behaviors.append(f"{name} {count:,}")
    facts: list[list[object]] = [
        ["files", ", ".join(check["files"])],
        ["columns", ", ".join(columns)],
        ["rows", f"{check['rows_read']:,} read, {check['rows_kept']:,} would stay"],
        ["users, items", f"{check['users']:,}, {check['items']:,}"],
        ["behaviours", ", ".join(behaviors)],
        ["repeated pairs", f"{check['duplicate_share']:.1%} of the rows"],
    ]
    if check["first_time"]:
        span = f"{check['first_time']} to {check['last_time']}"
        facts.append(["time", f"{span} (read as {check['time_unit']})"])
    elif check["time_unit"] == "order":
        facts.append(["time", "none: an order of what each user did"])
    return facts
