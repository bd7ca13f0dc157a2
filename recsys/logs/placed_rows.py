"""Rows of a log, each with the part of the split that it goes to."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.core.tables import Drops


@dataclass(frozen=True)
class PlacedRows:
    """Rows, the part that each goes to, and what was found out on the way.

    rows: coded.
    codes: (n,) TRAIN, VALIDATION, … of `logs.time_cut`.
    time_safe: whether no row learned from is later than a row it is judged by.
    cuts: first moments held out, unix seconds, by name.
    drops: rows in no part, by reason.
    validation_method: how validation was held out, where that is not the method of the test.
    """

    rows: pl.DataFrame
    codes: NDArray[np.int8]
    time_safe: bool
    cuts: dict[str, int]
    drops: Drops
    validation_method: str | None = None
