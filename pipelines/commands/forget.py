"""`recsys forget`: a person's rows leave a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json, LogJson, Quiet
from pipelines.run_folders import to_change

Folder = Annotated[str, typer.Argument(metavar="RUN", help="Run folder or its URL.")]
Person = Annotated[str, typer.Option("--user", metavar="ID", help="User id as in the log.")]
Events = Annotated[
    Path | None, typer.Option("--events", help="Log of live events; RUN/events.jsonl when absent.")
]


def forget(
    run: Folder,
    user: Person,
    events: Events = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Forget a person: new bundles without them, their rows and events removed, and later runs drop
    what comes again.
    """
    from pipelines.console import print_document, print_text, progress_to
    from pipelines.forget import forget as forget_user

    progress = progress_to(log_json, quiet)
    with to_change(run, progress) as folder:
        receipt = forget_user(folder, user, events, progress)
    if as_json:
        print_document(vars(receipt))
        return
    replaced = [f"{old} → {new}" for old, new in receipt.bundles.items()]
    bundles = ", ".join(replaced) or "none held them"
    print_text(
        f"bundles: {bundles}\nrows removed: {receipt.rows:,}; events: {receipt.events:,}; "
        f"answers and impressions: {receipt.answers + receipt.impressions:,}; "
        f"trained states: {receipt.checkpoints}"
    )
    if receipt.deleted:
        print_text(f"the next recsys run makes anew: {', '.join(receipt.deleted)}")
    print_text(receipt.remains)
