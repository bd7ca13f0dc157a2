"""From texts and pictures of items to what no later stage has to read or encode again."""

import polars as pl

from pipelines.places import LOG
from pipelines.runner import Facts, Work
from recsys.content.features import read_contents, save_contents
from recsys.logs.clean import facts
from recsys.logs.ingest import load_log
from recsys.logs.reasons import describe


def read(work: Work) -> Facts:
    """Read and encode every feature that is configured; what is missing is told and counted."""
    log = load_log(work.read(LOG))
    items = log.item_table
    if log.cold_items is not None:
        items = pl.concat([items, log.cold_items], how="diagonal_relaxed")
    config = work.config
    contents, drops = read_contents(config.features, config.data, items, work.progress)
    save_contents(contents, work.out)
    if drops:
        work.progress.say(f"texts and pictures: {describe(drops)}", **facts(drops))
    return Facts(rows_in=len(items), rows_out=len(contents), drops=drops)
