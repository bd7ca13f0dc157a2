"""Flags that say who is asked about (`QUERY`) and what is asked of a list (`LIST`, `BATCH`).

They have the names of `recsys.lookup.query.Query` and `recsys.lookup.options.ListOptions`, which are
imported when a command runs: numpy would double the time of `recsys --help`.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.commands.flag_groups import FlagGroup
from pipelines.commands.options import attribute_values, id_file, id_list
from recsys.core.errors import UsageError

User = Annotated[str | None, typer.Option("--user", metavar="ID", help="User id as in the log.")]
History = Annotated[
    list[str] | None,
    typer.Option(
        "--history",
        metavar="A,B,C",
        help="Item ids of a visitor, or of new events of --user; or a JSON list.",
    ),
]
Attribute = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="COLUMN=VALUE",
        help="What a visitor is, by a user column of the graph.",
    ),
]
Friend = Annotated[
    list[str] | None,
    typer.Option("--friend", metavar="A,B,C", help="Known users whom a visitor is linked to."),
]
Count = Annotated[
    int | None, typer.Option("-k", "--k", min=1, help="Length of the lists; 10 when absent.")
]
Offset = Annotated[int | None, typer.Option("--offset", min=0, help="Places of the list to skip.")]
ExcludeSeen = Annotated[
    bool | None,
    typer.Option(
        "--exclude-seen/--no-exclude-seen",
        help="Leave out what the user has had; so it is when absent.",
    ),
]
IncludeSeen = Annotated[
    bool | None,
    typer.Option("--include-seen", hidden=True, help="Old name of --no-exclude-seen."),
]
Allow = Annotated[
    list[str] | None, typer.Option("--allow", metavar="A,B,C", help="Only these items.")
]
AllowFile = Annotated[
    Path | None, typer.Option("--allow-file", help="Only the items in this file, one id a line.")
]
Deny = Annotated[
    list[str] | None, typer.Option("--deny", metavar="A,B,C", help="Never these items.")
]
DenyFile = Annotated[
    Path | None, typer.Option("--deny-file", help="Never the items in this file, one id a line.")
]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="COLUMN=VALUE",
        help="Only items with this attribute; several of a column widen it. Also COLUMN.all=VALUE, "
        "COLUMN.none=VALUE, COLUMN.gte=NUMBER, .gt, .lte, .lt.",
    ),
]
Popularity = Annotated[
    float | None,
    typer.Option(
        "--popularity",
        help="Popularity boost, from -1 (niche) to 1 (well known).",
    ),
]
Diversity = Annotated[
    float | None,
    typer.Option(
        "--diversity", min=0, max=1, help="How much a list avoids items like those before."
    ),
]
Moment = Annotated[
    float | None,
    typer.Option(
        "--moment",
        metavar="SECONDS",
        help="When the list is asked for, in unix seconds; the end of the log when absent. Only a "
        "second stage reads it.",
    ),
]
Explain = Annotated[
    bool | None, typer.Option("--explain", help="Say of every item why it is there.")
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="A,B,C",
        help="Columns of the item table that each item comes with, under --json.",
    ),
]
Reasons = Annotated[
    bool | None, typer.Option("--reasons", hidden=True, help="Old name of --explain.")
]


def _read_query(flags: dict[str, Any]) -> Any:
    """The Query. Raises UsageError where nobody is asked about."""
    from recsys.lookup.query import Query

    if all(value is None for value in flags.values()):
        raise UsageError(
            "for whom?",
            "Give --user ID, --history A,B,C, --attribute COLUMN=VALUE, --friend A,B, or several",
        )
    return Query(
        flags["user"],
        id_list(flags["history"]) or (),
        attribute_values(flags["attribute"]) or {},
        id_list(flags["friend"]) or (),
    )


def _read_options(flags: dict[str, Any]) -> Any:
    """The ListOptions; what is not given has their default."""
    from recsys.lookup.options import list_options

    values = dict(flags)
    if values.pop("include_seen"):
        _warn("--include-seen", "--no-exclude-seen")
        values["exclude_seen"] = False
    if values.pop("reasons", None):
        _warn("--reasons", "--explain")
        values["explain"] = True
    for name in ("allow", "deny"):
        if name in values:
            values[name] = _ids_of_flags(values[name], values.pop(f"{name}_file"))
    if "include" in values:
        values["include"] = id_list(values["include"])
    if "filters" in values:
        values["filters"] = _filters_of_flags(values["filters"])
    not_absent = {name: value for name, value in values.items() if value is not None}
    return list_options(**not_absent)


def _ids_of_flags(texts: list[str] | None, file: Path | None) -> list[str] | None:
    """Ids of the flag and of the file; None when neither is given."""
    if texts is None and file is None:
        return None
    return [*(id_list(texts) or []), *id_file(file)]


def _filters_of_flags(texts: list[str] | None) -> Any:
    from recsys.bundle.filters import read_filters

    by_name = attribute_values(texts, "--filter")
    if by_name is None:
        return None
    return read_filters((name, value) for name, values in by_name.items() for value in values)


def _warn(old: str, new: str) -> None:
    typer.echo(f"warning: {old} is called {new} now; the old name goes with 0.3", err=True)


QUERY = FlagGroup(
    {"user": User, "history": History, "attribute": Attribute, "friend": Friend}, _read_query
)
LIST = FlagGroup(
    {
        "k": Count,
        "offset": Offset,
        "exclude_seen": ExcludeSeen,
        "include_seen": IncludeSeen,
        "allow": Allow,
        "allow_file": AllowFile,
        "deny": Deny,
        "deny_file": DenyFile,
        "filters": Filter,
        "popularity": Popularity,
        "diversity": Diversity,
        "moment": Moment,
        "explain": Explain,
        "reasons": Reasons,
        "include": Include,
    },
    _read_options,
)
BATCH = FlagGroup(
    {
        "k": Count,
        "exclude_seen": ExcludeSeen,
        "include_seen": IncludeSeen,
        "popularity": Popularity,
    },
    _read_options,
)
