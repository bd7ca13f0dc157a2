"""`recsys demo`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.lookup import open_lookup
from pipelines.commands.options import Json, LogJson, Quiet, Sets, Threads

if TYPE_CHECKING:
    from recsys.lookup.lookup import Lookup

_REASONS = 3
Folder = Annotated[Path, typer.Option("--out", help="Run folder.")]


def demo(
    out: Folder = Path("runs/demo"),
    threads: Threads = None,
    sets: Sets = None,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole chain on a small log of films, compare with the baselines, and explain one
    user's list.
    """
    from pipelines.commands.run import finish
    from pipelines.console import print_table
    from pipelines.demo import demo_config, typical_user
    from recsys.core.config import with_overrides

    config = with_overrides(demo_config(out).model_dump(mode="json"), sets or [])
    if threads is not None:
        config = config.model_copy(update={"threads": threads})
    finish(config, out, as_json, log_json, quiet)
    if as_json:
        return
    lookup = open_lookup(out)
    user = typical_user(lookup)
    [answer] = lookup.recommend([user], 10)
    rows = []
    for item in answer["items"]:
        name = item.get("title") or item["id"]
        rows.append(
            [item["rank"], name, f"{item['score']:.3f}", _largest_parts(lookup, user, item)]
        )
    columns = ["rank", "title", "score", "mostly because of"]
    print_table(f"For user {user}, with reasons", columns, rows)


def _largest_parts(lookup: "Lookup", user: str, item: Any) -> str:
    """The neighbours of the user with the largest shares of the score."""
    explained = lookup.explain(user, item["id"], parts=_REASONS)
    texts = []
    for contribution in explained["parts"]:
        name = contribution.get("title") or contribution["id"]
        texts.append(f"{name} ({contribution['share']:+.3f})")
    return ", ".join(texts)
