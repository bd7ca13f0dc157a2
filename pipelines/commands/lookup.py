"""`recsys recommend`, `similar`, `explain`, `batch`: questions to the bundle that a run serves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.flag_groups import takes
from pipelines.commands.list_flags import BATCH, LIST, QUERY, Moment, Popularity, User
from pipelines.commands.options import Count, Json, LogJson, Quiet, Run, id_file
from pipelines.commands.where_flags import WHERE, WhereFlags
from recsys.core.errors import UsageError
from recsys.core.progress import Progress

if TYPE_CHECKING:
    from recsys.lookup.lookup import Lookup

Item = Annotated[str, typer.Option("--item", metavar="ID", help="Item id as in the log.")]
LikeItem = Annotated[
    str | None, typer.Option("--item", metavar="ID", help="Item id as in the log.")
]
Popular = Annotated[
    bool, typer.Option("--fallback", help="Popular items for an unknown user rather than an error.")
]
Parts = Annotated[
    int,
    typer.Option("--parts", min=1, help="How many parts are listed; the others are summed up."),
]
BatchFile = Annotated[
    str, typer.Option("--out", metavar="FILE", help="Parquet file to write, or its URL.")
]
UsersFile = Annotated[
    Path | None, typer.Option("--users-file", help="Only the users in this file, one id a line.")
]


@takes(QUERY, LIST)
def recommend(
    query: Any, options: Any, run: Run, fallback: Popular = False, as_json: Json = False
) -> None:
    """The k best items for a user, for a visitor with some items, attributes or friends, or for a
    user with news.
    """
    lookup = open_lookup(run)
    [answer] = lookup.answer([query], options, "popularity" if fallback else "refuse")
    _show({**_query_document(query), **answer, "bundle": lookup.bundle.name}, "items", as_json)


def similar(
    run: Run, item: LikeItem = None, user: User = None, k: Count = 10, as_json: Json = False
) -> None:
    """The items most like an item, as validation chose it, or the users most like a user."""
    if (item is None) == (user is None):
        raise UsageError("nothing to compare with", "Give either --item ID or --user ID")
    lookup = open_lookup(run)
    if item is not None:
        [answer] = lookup.similar_items([item], k)
        _show({"item": item, **answer, "bundle": lookup.bundle.name}, "items", as_json)
    else:
        [users] = lookup.similar_users([user], k)
        _show({"user": user, "users": users, "bundle": lookup.bundle.name}, "users", as_json)


@takes(QUERY)
def explain(
    query: Any,
    run: Run,
    item: Item,
    parts: Parts = 10,
    popularity: Popularity = None,
    moment: Moment = None,
    as_json: Json = False,
) -> None:
    """Why an item: the score as a sum of one share per neighbour and a rest."""
    lookup = open_lookup(run)
    explained = lookup.explain_query(query, item, parts, popularity or 0.0, moment)
    document = {**_query_document(query), **explained, "bundle": lookup.bundle.name}
    if as_json:
        _show(document, "parts", as_json)
    else:
        _print_explanation(document)


@takes(BATCH, WHERE)
def batch(
    options: Any,
    where: WhereFlags,
    run: Run,
    out: BatchFile,
    users_file: UsersFile = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """The lists of all users as one Parquet file: user_id, item_id, score, rank. With --runner or
    --buckets as a folder of such files.
    """
    from pipelines.console import print_document, print_text, progress_to

    _require_file_name(out, where.by_buckets)
    lookup = open_lookup(run)
    users, unknown = _users_of(users_file, lookup)
    progress = progress_to(log_json, quiet)
    if where.by_buckets:
        rows = _batch_by_buckets(lookup, users, options, out, where, progress)
    else:
        rows = _batch_as_file(lookup, users, options, out, progress)
    count = len(lookup.bundle.users) if users is None else len(users)
    if as_json:
        facts = {"file": out, "rows": rows, "users": count, "k": options.k}
        print_document({**facts, "unknown": unknown, "bundle": lookup.bundle.name})
        return
    print_text(f"{rows:,} rows for {count:,} users in {out}")
    if unknown:
        print_text(f"{len(unknown):,} unknown users have no rows: {unknown[:5]}")


def _require_file_name(out: str, by_buckets: bool) -> None:
    """Raises UsageError where the lists cannot be written under this name."""
    suffix = Path(out).suffix
    if suffix.lower() not in ("", ".parquet", ".pq"):
        raise UsageError(
            f"the lists are written as Parquet, not as {suffix}", "Name the file *.parquet"
        )
    if by_buckets and suffix:
        raise UsageError(
            f"lists by buckets are a folder of files, and {out} is the name of one",
            "Name a folder with --out",
        )


def _users_of(file: Path | None, lookup: "Lookup") -> tuple[list[str] | None, list[str]]:
    """The known users of a file, and those that are not known; None for all that the bundle has.

    Where nobody is known, all of the file are left in: that is refused with the lists.
    """
    if file is None:
        return None, []
    users = id_file(file)
    known = [user for user in users if user in lookup.bundle.users]
    unknown = [user for user in users if user not in lookup.bundle.users]
    return known or users, unknown


def _batch_as_file(
    lookup: "Lookup", users: list[str] | None, options: Any, out: str, progress: Progress
) -> int:
    """The rows that are written."""
    from pipelines.outputs import output_file

    with output_file(out, progress) as file:
        return lookup.batch(
            users,
            options.k,
            file,
            exclude_seen=options.exclude_seen,
            popularity=options.popularity,
            progress=progress,
        )


def _batch_by_buckets(
    lookup: "Lookup",
    users: list[str] | None,
    options: Any,
    out: str,
    where: WhereFlags,
    progress: Progress,
) -> int:
    """The rows that are written."""
    from pipelines.outputs import output_folder
    from pipelines.where import somewhere
    from recsys.lookup.batch_buckets import Asked, are_parts, write_parts

    wanted_lists = Asked(
        str(lookup.bundle.path.resolve()),  # another bundle may go live meanwhile
        options.k,
        options.exclude_seen,
        options.popularity,
    )
    with (
        somewhere(*where) as execution,
        output_folder(out, are_parts, progress=progress) as folder,
    ):
        return write_parts(
            wanted_lists, users, execution.buckets, folder, execution.runner, progress
        )


def open_lookup(place: str | Path) -> "Lookup":
    """The lookup of the bundle that a run folder serves, here or at a URL, or of a bundle folder
    itself. Raises UsageError for neither.
    """
    from pipelines.run_folders import served_place
    from recsys.bundle.bundle import Bundle
    from recsys.lookup.lookup import Lookup

    bundle, _ = served_place(place)
    return Lookup(Bundle.load(bundle, verify=False))


def _query_document(query: Any) -> dict[str, Any]:
    """What is known of whom the answer is about."""
    document = {
        "user": query.user,
        "history": query.history,
        "attributes": query.attributes,
        "friends": query.friends,
    }
    return {name: value for name, value in document.items() if value}


def _show(document: dict[str, Any], rows: str, as_json: bool) -> None:
    from pipelines.console import print_document, print_table, print_text

    if as_json:
        print_document(document)
        return
    listed = document[rows]
    with_titles = any("title" in item for item in listed)
    with_reasons = any("reasons" in item for item in listed)
    columns = ["rank", "id"]
    if with_titles:
        columns.append("title")
    columns.append("score")
    if with_reasons:
        columns.append("why")
    cells = []
    for item in listed:
        row = [item["rank"], item["id"]]
        if with_titles:
            row.append(item.get("title", ""))
        row.append(f"{item['score']:.4f}")
        if with_reasons:
            row.append("; ".join(reason["text"] for reason in item["reasons"]))
        cells.append(row)
    print_table(f"{rows} ({document.get('source', 'model')})", columns, cells)
    if "note" in document:
        print_text(document["note"])
    if document.get("unknown"):
        print_text(f"unknown ids: {document['unknown']}")


def _print_explanation(document: dict[str, Any]) -> None:
    """The parts as a table that adds up to the score, and the reasons."""
    from pipelines.console import print_table, print_text

    rows = []
    for contribution in document["parts"]:
        name = contribution.get("title") or contribution["id"]
        rows.append([contribution["relation"], name, f"{contribution['share']:+.4f}"])
    rows.append(["", "other neighbours", f"{document['others']:+.4f}"])
    if "trend" in document:
        rows.append(["", "trending", f"{document['trend']:+.4f}"])
    if "popularity" in document:
        rows.append(["", "popularity boost", f"{document['popularity']:+.4f}"])
    rows.append(["", "rest (own state, biases)", f"{document['rest']:+.4f}"])
    name = document.get("title") or document["item"]
    title = f"{name}: score {document['score']:.4f} as additive shares"
    print_table(title, ["relation", "because of", "share"], rows)
    for reason in document["reasons"]:
        print_text(f"{reason['share']:+.4f} {reason['text']}")
