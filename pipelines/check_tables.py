"""`recsys data check` for people."""

from collections.abc import Mapping
from typing import Any

from pipelines.console import print_table, print_text


def print_check(found: Mapping[str, Any]) -> None:
    """The document of a CheckReport as tables: facts, distributions, drops, a sample, and what
    looks wrong.
    """
    print_table("Log", ["", ""], _facts(found))
    spread = [
        [side, *(f"{value:,.0f}" for value in found[f"per_{side}"].values())]
        for side in ("user", "item")
    ]
    print_table("Rows per", ["", *found["per_user"]], spread)
    if found["ratings"]:
        print_table(
            "Ratings",
            ["rating", "rows"],
            [[key, f"{rows:,}"] for key, rows in found["ratings"].items()],
        )
    drops = [[reason, f"{rows:,}"] for reason, rows in found["drops"].items()]
    print_table("Would be dropped", ["reason", "rows"], drops or [["nothing", ""]])
    if found["sample"]:
        print_table(
            "As understood",
            list(found["sample"][0]),
            [list(row.values()) for row in found["sample"]],
        )
    warnings = [f"- {warning}" for warning in found["warnings"]]
    print_text("\n".join(["What looks wrong:", *warnings]) if warnings else "Nothing looks wrong.")


def _facts(found: Mapping[str, Any]) -> list[list[object]]:
    columns = ", ".join(
        f"{column} = {of['name']} ({of['type']})" for column, of in found["columns"].items()
    )
    rows: list[list[object]] = [
        ["files", ", ".join(found["files"])],
        ["columns", columns],
        ["rows", f"{found['rows_read']:,} read, {found['rows_kept']:,} would stay"],
        ["users, items", f"{found['users']:,}, {found['items']:,}"],
        [
            "behaviours",
            ", ".join(f"{name} {count:,}" for name, count in found["behaviors"].items()),
        ],
        ["repeated pairs", f"{found['duplicate_share']:.1%} of the rows"],
    ]
    if found["first_time"]:
        rows.append(
            [
                "time",
                f"{found['first_time']} to {found['last_time']} (read as {found['time_unit']})",
            ]
        )
    return rows
