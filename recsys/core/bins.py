"""Numbers as intervals: bins of about as many values each, and the bin of a number."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl

from recsys.core.arrays import FloatArray

_JOIN = " to "


def quantile_labels(values: FloatArray, bins: int) -> tuple[str, ...]:
    """The bins of finite values (n,) as "low to high", rising; fewer where values repeat so often
    that bins are equal.

    A number belongs to the last bin whose low it reaches.
    """
    if len(values) == 0:
        return ()
    quantiles = np.quantile(values, np.linspace(0, 1, bins + 1))
    bounds: list[str] = []
    for bound in np.unique(quantiles):
        text = f"{bound:.12g}"
        if text not in bounds:
            bounds.append(text)
    if len(bounds) == 1:
        bounds *= 2
    return tuple(f"{low}{_JOIN}{high}" for low, high in pairwise(bounds))


def bin_labels(values: pl.Series, labels: Sequence[str]) -> pl.Series:
    """The label of each number, null where it is not finite."""
    numbers = values.to_numpy().astype(np.float64)
    lows = [_low(label) for label in labels]
    # The last bin whose low is reached; numbers below all of them belong to the first.
    bins = np.searchsorted(lows, numbers, side="right") - 1
    binned: list[str | None] = []
    for number, position in zip(numbers, bins.clip(min=0), strict=True):
        binned.append(labels[position] if np.isfinite(number) else None)
    return pl.Series(binned, dtype=pl.String)


def bin_of(value: object, labels: Sequence[str]) -> str | None:
    """The label of one number among those of `quantile_labels` in any order; None for what is no
    number or no bin.
    """
    try:
        number = float(str(value))
        rising = sorted(labels, key=_low)
    except ValueError:
        return None
    if not math.isfinite(number) or not labels:
        return None
    reached = rising[0]
    for label in rising:
        if _JOIN not in label:
            return None
        if _low(label) <= number:
            reached = label
    return reached


def _low(label: str) -> float:
    """Raises ValueError for what is no label of a bin."""
    return float(label.split(_JOIN)[0])
