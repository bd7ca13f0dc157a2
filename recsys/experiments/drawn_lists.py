"""Lists of a bundle that was never shown, beside those that were drawn at random and shown."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from recsys.core.tables import (
    ANSWER,
    DRAWN,
    ITEM_ID,
    POOL,
    RANK,
    USER_ID,
)
from recsys.experiments import documents
from recsys.experiments.exploration import propensities
from recsys.experiments.intervals import estimate
from recsys.experiments.off_policy import Drawn, estimate_clicks
from recsys.experiments.rates import GIVEN_RANK, Shown
from recsys.experiments.records import Records

ListsOf = Callable[[pl.DataFrame], Sequence[Sequence[str]]]
"""Lists of a bundle for answers, one row each: answer, user, time, options (JSON), and as many items
as were given then.
"""

_SIZE = "pool_size"
_TARGET = "target"


def estimate_bundle(
    name: str, records: Records, lists_of: ListsOf, alpha: float
) -> documents.OffPolicy:
    """What lists of a bundle would have got, from the drawn answers of an experiment.

    Lists of which an item was shown at another place than it was drawn for are left out.
    """
    answers = records.answers.filter(pl.col(DRAWN).fill_null(False), pl.col(POOL).is_not_null())
    shown = Shown(answers, records, None)
    moved = shown.items.filter(pl.col(RANK) != pl.col(GIVEN_RANK))
    items = shown.items.join(moved, on=ANSWER, how="anti").sort(ANSWER, RANK)
    answers = answers.join(items, on=ANSWER, how="semi").sort(ANSWER)
    drawn = _places(answers, items, shown.events, lists_of(answers))
    estimates = estimate_clicks(drawn)
    return {
        "bundle": name,
        "lists": len(answers),
        "users": answers[USER_ID].n_unique(),
        "coverage": estimates.coverage,
        "matches": estimates.matches,
        "ips": estimate(estimates.ips, alpha),
        "snips": estimate(estimates.snips, alpha),
    }


def _places(
    answers: pl.DataFrame,
    items: pl.DataFrame,
    events: pl.DataFrame,
    lists: Sequence[Sequence[str]],
) -> Drawn:
    """One row for each place that was shown."""
    targets = pl.DataFrame(
        {
            ANSWER: answers[ANSWER],
            "list": np.arange(len(answers)),
            "user_number": answers[USER_ID].rank("dense").cast(pl.Int64) - 1,
            _TARGET: pl.Series(lists, dtype=pl.List(pl.String)),
            POOL: answers[POOL],
        }
    )
    clicks = events.select(ANSWER, ITEM_ID).unique().with_columns(pl.lit(True).alias("clicked"))
    rows = items.join(targets, on=ANSWER).join(clicks, on=[ANSWER, ITEM_ID], how="left")
    target = pl.col(_TARGET).list.get(pl.col(RANK) - 1, null_on_oob=True)
    rows = rows.with_columns(
        (pl.col(ITEM_ID) == target).fill_null(False).alias("matches"),
        pl.col(POOL).list.contains(target).fill_null(False).alias("covered"),
        pl.col(POOL).list.len().alias(_SIZE),
    )
    return Drawn(
        list=rows["list"].to_numpy(),
        user=rows["user_number"].to_numpy(),
        matches=rows["matches"].to_numpy(),
        propensity=propensities(rows[_SIZE].to_numpy()),
        clicked=rows["clicked"].fill_null(False).to_numpy(),
        covered=rows["covered"].to_numpy(),
    )
