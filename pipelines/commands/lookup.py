"""`recsys recommend`, `similar`, `explain`, `batch`: questions to the bundle that a run serves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.options import (
    Count,
    Json,
    LogJson,
    Quiet,
    Run,
    attribute_values,
    id_file,
    id_list,
)
from recsys.core.errors import UsageError

if TYPE_CHECKING:
    from recsys.lookup.lookup import Lookup

User = Annotated[str | None, typer.Option("--user", metavar="ID", help="User id as in the log.")]
Item = Annotated[str | None, typer.Option("--item", metavar="ID", help="Item id as in the log.")]
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
WithSeen = Annotated[
    bool, typer.Option("--include-seen", help="Items that the user has had may be shown again.")
]
Popular = Annotated[
    bool, typer.Option("--fallback", help="Popular items for an unknown user rather than an error.")
]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="COLUMN=VALUE",
        help="Only items with this attribute; several of a column widen it.",
    ),
]
Popularity = Annotated[
    float,
    typer.Option(
        "--popularity",
        help="Times ln(1 + users of an item), added to its score; below 0 for rare items.",
    ),
]
Diversity = Annotated[
    float,
    typer.Option(
        "--diversity", min=0, max=1, help="How much a list avoids items like those before."
    ),
]
Offset = Annotated[int, typer.Option("--offset", min=0, help="Places of the list to skip.")]
Friend = Annotated[
    list[str] | None,
    typer.Option("--friend", metavar="A,B,C", help="Known users whom a visitor is linked to."),
]
WithReasons = Annotated[bool, typer.Option("--reasons", help="Say of every item why it is there.")]
Parts = Annotated[
    int,
    typer.Option("--parts", min=1, help="How many reasons are named; the others are summed up."),
]
BatchFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="Parquet file to write.")]
UsersFile = Annotated[
    Path | None, typer.Option("--users-file", help="Only the users in this file, one id a line.")
]


def recommend(
    run: Run,
    user: User = None,
    history: History = None,
    attribute: Attribute = None,
    friend: Friend = None,
    k: Count = 10,
    allow: Allow = None,
    allow_file: AllowFile = None,
    deny: Deny = None,
    deny_file: DenyFile = None,
    filters: Filter = None,
    popularity: Popularity = 0.0,
    diversity: Diversity = 0.0,
    offset: Offset = 0,
    include_seen: WithSeen = False,
    reasons: WithReasons = False,
    fallback: Popular = False,
    as_json: Json = False,
) -> None:
    """The k best items for a user, for a visitor with some items, attributes or friends, or for a
    user with news.
    """
    events, attributes, friends = id_list(history), attribute_values(attribute), id_list(friend)
    _require_someone(user, events, attributes, friends)
    lookup = open_lookup(run)
    [answer] = lookup.recommend(
        None if user is None else [user],
        k,
        histories=None if events is None else [events],
        attributes=None if attributes is None else [attributes],
        friends=None if friends is None else [friends],
        exclude_seen=not include_seen,
        allow=None
        if allow is None and allow_file is None
        else [*(id_list(allow) or []), *id_file(allow_file)],
        deny=[*(id_list(deny) or []), *id_file(deny_file)] or None,
        filters=attribute_values(filters, "--filter"),
        popularity=popularity,
        diversity=diversity,
        offset=offset,
        reasons=reasons,
        fallback="popularity" if fallback else "refuse",
    )
    asked = {"user": user, "history": events, "attributes": attributes, "friends": friends}
    _show({**_given(asked), **answer, "bundle": lookup.bundle.name}, "items", as_json)


def similar(
    run: Run, item: Item = None, user: User = None, k: Count = 10, as_json: Json = False
) -> None:
    """The items most like an item, or the users most like a user, by cosine."""
    if (item is None) == (user is None):
        raise UsageError("nothing to compare with", "Give either --item ID or --user ID")
    lookup = open_lookup(run)
    if item is not None:
        [answer] = lookup.similar_items([item], k)
        _show({"item": item, **answer, "bundle": lookup.bundle.name}, "items", as_json)
    else:
        [users] = lookup.similar_users([user], k)
        _show({"user": user, "users": users, "bundle": lookup.bundle.name}, "users", as_json)


def explain(
    run: Run,
    item: Annotated[str, typer.Option("--item", metavar="ID", help="Item id as in the log.")],
    user: User = None,
    history: History = None,
    attribute: Attribute = None,
    friend: Friend = None,
    parts: Parts = 10,
    popularity: Popularity = 0.0,
    as_json: Json = False,
) -> None:
    """Why an item: the score as a sum of one share per neighbour and a rest."""
    events, attributes, friends = id_list(history), attribute_values(attribute), id_list(friend)
    _require_someone(user, events, attributes, friends)
    lookup = open_lookup(run)
    visitor: dict[str, Any] = {
        "history": events,
        "attributes": attributes,
        "friends": friends or (),
    }
    found = lookup.explain(user, item, **visitor, parts=parts, popularity=popularity)
    asked = {"user": user, "history": events, "attributes": attributes, "friends": friends}
    document = {**_given(asked), **found, "bundle": lookup.bundle.name}
    if as_json:
        _show(document, "parts", as_json)
        return
    from pipelines.console import print_table, print_text

    rows = [
        [part["relation"], part.get("title") or part["id"], f"{part['share']:+.4f}"]
        for part in found["parts"]
    ]
    rows += [["", "other neighbours", f"{found['others']:+.4f}"]]
    rows += [["", "taken often of late", f"{found['trend']:+.4f}"]] if "trend" in found else []
    rows += (
        [["", "popularity dial", f"{found['popularity']:+.4f}"]] if "popularity" in found else []
    )
    rows += [["", "rest (own state, biases)", f"{found['rest']:+.4f}"]]
    print_table(
        f"{found.get('title') or item}: score {found['score']:.4f} as additive shares",
        ["relation", "because of", "share"],
        rows,
    )
    for reason in found["because"]:
        print_text(f"{reason['share']:+.4f} {reason['text']}")


def batch(
    run: Run,
    out: BatchFile,
    k: Count = 10,
    users_file: UsersFile = None,
    popularity: Popularity = 0.0,
    include_seen: WithSeen = False,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """The lists of all users as one Parquet file: user_id, item_id, score, rank."""
    from pipelines.console import print_document, print_text, progress_to

    if out.suffix.lower() not in ("", ".parquet", ".pq"):
        raise UsageError(
            f"the lists are written as Parquet, not as {out.suffix}", "Name the file *.parquet"
        )
    lookup = open_lookup(run)
    users = None if users_file is None else id_file(users_file)
    progress = progress_to(log_json, quiet)
    rows = lookup.batch(
        users, k, out, exclude_seen=not include_seen, popularity=popularity, progress=progress
    )
    count = len(lookup.bundle.users) if users is None else len(users)
    if as_json:
        print_document(
            {"file": str(out), "rows": rows, "users": count, "k": k, "bundle": lookup.bundle.name}
        )
    else:
        print_text(f"{rows:,} rows for {count:,} users in {out}")


def open_lookup(place: Path) -> "Lookup":
    """The lookup of the bundle that a run folder serves, or of a bundle folder itself. Raises
    UsageError for neither.
    """
    from recsys.bundle.bundle import Bundle
    from recsys.core.artefacts import RunFolder
    from recsys.lookup.lookup import Lookup

    if (place / "bundle.json").exists():
        return Lookup(Bundle.load(place, verify=False))
    bundle = RunFolder.existing(place).bundle
    if not bundle.exists():
        raise UsageError(
            f"the run {str(place)!r} has no bundle yet",
            "Finish it with the recsys run that began it",
        )
    return Lookup(Bundle.load(bundle, verify=False))


def _require_someone(*given: object) -> None:
    if all(one is None for one in given):
        raise UsageError(
            "for whom?",
            "Give --user ID, --history A,B,C, --attribute COLUMN=VALUE, --friend A,B, or several",
        )


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


def _show(document: dict[str, Any], rows: str, as_json: bool) -> None:
    from pipelines.console import print_document, print_table, print_text

    if as_json:
        print_document(document)
        return
    found = document[rows]
    columns = ["rank", "id", *(["title"] if any("title" in one for one in found) else []), "score"]
    cells = [
        [*(one.get(name, "") for name in columns[:-1]), f"{one['score']:.4f}"] for one in found
    ]
    if any("because" in one for one in found):
        columns.append("why")
        cells = [
            [*row, "; ".join(one["text"] for one in item["because"])]
            for row, item in zip(cells, found, strict=True)
        ]
    print_table(f"{rows} ({document.get('source', 'model')})", columns, cells)
    for note in (
        document.get("note"),
        f"unknown ids: {document['unknown']}" if document.get("unknown") else None,
    ):
        if note:
            print_text(note)
