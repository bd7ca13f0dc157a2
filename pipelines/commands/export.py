"""`recsys export` and `recsys push`: what a bundle answers from, where others search it."""

from typing import Annotated, Any

import typer

from pipelines.commands.lookup import open_lookup
from pipelines.commands.options import Json, LogJson, Quiet, Run
from recsys.core.errors import UsageError

Place = Annotated[
    str | None,
    typer.Argument(
        metavar="[URL]", help="With --to: URL of the store, or path of what is written."
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="STORE",
        help="qdrant, pgvector, lancedb, redis, milvus, opensearch or onnx.",
    ),
]
Store = Annotated[
    str,
    typer.Option(
        "--to", metavar="STORE", help="qdrant, pgvector, lancedb, redis, milvus or opensearch."
    ),
]
StoreUrl = Annotated[str, typer.Argument(metavar="URL", help="URL or path of the store.")]
Form = Annotated[
    str | None, typer.Option("--format", metavar="FORMAT", help="parquet, npy or faiss.")
]
Out = Annotated[
    str | None,
    typer.Option("--out", metavar="DIR", help="Folder to fill with --format, or its URL."),
]
Name = Annotated[
    str, typer.Option("--name", metavar="NAME", help="The store answers for NAME_items.")
]
Users = Annotated[bool, typer.Option("--users", help="Vectors of users, too, as NAME_users.")]
Index = Annotated[
    str, typer.Option("--index", metavar="KIND", help="hnsw, or flat for exact search.")
]
Count = Annotated[
    int, typer.Option("-k", "--k", min=1, max=1_000, help="Length of the lists that are compared.")
]
MinRecall = Annotated[
    float,
    typer.Option(
        "--min-recall", min=0.0, max=1.0, help="Share of the exact lists that the store must find."
    ),
]
Keep = Annotated[
    int, typer.Option("--keep", min=0, help="Versions before the live one that stay in the store.")
]


def export(
    run: Run,
    place: Place = None,
    to: To = None,
    form: Form = None,
    out: Out = None,
    name: Name = "recsys",
    users: Users = False,
    index: Index = "hnsw",
    k: Count = 10,
    min_recall: MinRecall = 0.95,
    keep: Keep = 1,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """The vectors of a bundle in a vector store, checked and then switched to, or in files, or the
    encoder of users as ONNX (docs/export.md). Exit 4 when the store finds less than --min-recall.
    """
    from pipelines.console import progress_to

    if to is None:
        _export_files(run, place, form, out, as_json)
        return
    if place is None or form is not None or out is not None:
        raise UsageError(
            f"--to {to} writes to a URL or path", f"Write: recsys export {run} --to {to} URL"
        )
    if to == "onnx":
        _export_onnx(run, place, as_json)
        return
    from recsys.vector_stores.catalogue import open_store
    from recsys.vector_stores.publish import publish

    if index not in ("hnsw", "flat"):
        raise UsageError(f"--index {index!r}", "hnsw or flat")
    bundle = open_lookup(run).bundle
    store = open_store(to, place, name)
    try:
        facts = publish(
            bundle,
            store,
            name,
            users=users,
            index="flat" if index == "flat" else "hnsw",
            k=k,
            min_recall=min_recall,
            keep=keep,
            progress=progress_to(log_json, quiet),
        )
    finally:
        store.close()
    _print_export(facts, name, as_json)


def push(
    run: Run,
    place: StoreUrl,
    to: Store,
    name: Name = "recsys",
    k: Count = 10,
    min_recall: MinRecall = 0.95,
    as_json: Json = False,
) -> None:
    """Bring a store up to the bundle that a run serves: only what was added, withdrawn or changed
    since the last export or push. Exit 1 when the model was trained again.
    """
    from pipelines.console import print_document, print_text
    from recsys.vector_stores.catalogue import open_store
    from recsys.vector_stores.publish import push as push_changes

    bundle = open_lookup(run).bundle
    store = open_store(to, place, name)
    try:
        facts = push_changes(
            bundle, bundle.path.resolve().parent, store, name, k=k, min_recall=min_recall
        )
    finally:
        store.close()
    if as_json:
        print_document(facts)
        return
    for kind, count in facts["changed"].items():
        print_text(f"{count:,} {kind} written, {facts['gone'][kind]:,} deleted")
    print_text(f"{name}_items has bundle {facts['bundle']} (before {facts['before']})")


def _export_files(
    run: str, place: str | None, form: str | None, out: str | None, as_json: bool
) -> None:
    from pipelines.console import print_document, print_text
    from pipelines.outputs import output_folder
    from recsys.bundle.export import CARD
    from recsys.bundle.export import export as export_vectors

    if place is not None or out is None:
        raise UsageError(
            "nowhere to export to", "Give --out DIR for files, or --to STORE URL for a store"
        )
    with output_folder(out, lambda names: CARD in names, CARD) as folder:
        card = export_vectors(open_lookup(run).bundle, form or "parquet", folder)
    if as_json:
        print_document(card)
    else:
        print_text(
            f"{card['users']:,} users and {card['items']:,} items, {card['width']} wide, in {out}"
        )
        print_text(f"not in the vectors: {'; '.join(card['left_out'])}")


def _export_onnx(run: str, out: str, as_json: bool) -> None:
    from pipelines.console import print_document, print_text
    from pipelines.outputs import output_folder
    from recsys.bundle.onnx_export import CARD, export_onnx

    with output_folder(out, lambda names: CARD in names, CARD) as folder:
        card = export_onnx(open_lookup(run).bundle, folder)
    if as_json:
        print_document(card)
    else:
        print_text(f"encoder of {card['bundle']}, {card['width']} wide, in {out}")
        print_text(f"inputs: {', '.join(card['inputs'])}")


def _print_export(facts: dict[str, Any], name: str, as_json: bool) -> None:
    from pipelines.console import print_document, print_text

    if as_json:
        print_document(facts)
        return
    rows = " and ".join(f"{count:,} {kind}" for kind, count in facts["rows"].items())
    if not facts["written"]:
        print_text(f"{name}_items has bundle {facts['bundle']} already: {rows}, {facts['version']}")
        return
    print_text(f"{rows}, {facts['width']} wide, as {facts['version']}; {name}_items points there")
    recall = facts["recall"]
    print_text(
        f"recall {recall['store']:.4f} of the exact lists at {recall['k']}, {recall['queries']} asked"
    )
    if recall["served"] is not None:
        print_text(
            f"the vectors alone have {recall['served']:.4f} of what is served, "
            f"{recall['served_wider']:.4f} ten times as far down"
        )
    if facts["dropped"]:
        print_text(f"dropped: {', '.join(facts['dropped'])}")
