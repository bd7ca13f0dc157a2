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
    from pipelines.demo import demo_config
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
    rows = [
        [
            one["rank"],
            one.get("title") or one["id"],
            f"{one['score']:.3f}",
            _reasons(lookup, user, one),
        ]
        for one in answer["items"]
    ]
    print_table(
        f"For user {user}, with reasons", ["rank", "title", "score", "mostly because of"], rows
    )


def typical_user(lookup: "Lookup") -> str:
    """The user whose history has the median length (the smallest id among several)."""
    import numpy as np

    lengths = np.diff(lookup.bundle.seen[lookup.bundle.target].indptr)
    place = int(np.argsort(lengths, kind="stable")[len(lengths) // 2])
    return lookup.bundle.users.external(np.array([place]))[0]


def _reasons(lookup: "Lookup", user: str, item: Any) -> str:
    """The items of the user's history with the largest shares of the score."""
    found = lookup.explain(user, item["id"], parts=_REASONS)
    return ", ".join(
        f"{part.get('title') or part['id']} ({part['share']:+.3f})" for part in found["parts"]
    )
