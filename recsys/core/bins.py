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
    bounds = (
        np.unique(np.quantile(values, np.linspace(0, 1, bins + 1))) if len(values) else np.empty(0)
    )
    texts = list(dict.fromkeys(f"{bound:.12g}" for bound in bounds))
    pairs = pairwise(texts) if len(texts) > 1 else zip(texts, texts, strict=True)
    return tuple(f"{low}{_JOIN}{high}" for low, high in pairs)


def bin_labels(values: pl.Series, labels: Sequence[str]) -> pl.Series:
    """The label of each number, null where it is not finite."""
    numbers = values.to_numpy().astype(np.float64)
    finite = np.isfinite(numbers)
    place = np.where(
        finite, (np.searchsorted(_lows(labels), numbers, side="right") - 1).clip(min=0), -1
    )
    return pl.Series([labels[one] if one >= 0 else None for one in place.tolist()], dtype=pl.String)


def bin_of(value: object, labels: Sequence[str]) -> str | None:
    """The label of one number among those of `quantile_labels` in any order; None for what is no
    number or no bin.
    """
    try:
        number = float(str(value))
        lows = [float(label.split(_JOIN)[0]) for label in labels]
    except ValueError:
        return None
    if not math.isfinite(number) or not labels or not all(_JOIN in label for label in labels):
        return None
    reached = [(low, label) for low, label in zip(lows, labels, strict=True) if low <= number]
    return max(reached)[1] if reached else min(zip(lows, labels, strict=True))[1]


def _lows(labels: Sequence[str]) -> list[float]:
    return [float(label.split(_JOIN)[0]) for label in labels]
