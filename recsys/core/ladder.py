"""Values of a setting that a search compares, and how it goes on where the best is an end of them."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_STEPS = 6
"""Past an end; each goes as far beyond the last value as that is from the one before, by ratio."""


@dataclass(frozen=True)
class Ladder:
    """Values of one setting.

    values: compared with each other, the usual one first; None and 0 switch something off.
    lowest, highest: nothing beyond these is tried.
    """

    values: Sequence[float | None]
    lowest: float
    highest: float

    def beyond(self, value: float | None) -> float | None:
        """The next value past the end that `value` is, or lies behind; None between the ends and at
        a bound.
        """
        rungs = sorted(rung for rung in self.values if rung)
        if not value or len(rungs) < 2:
            return None
        if value >= rungs[-1]:
            further = _next(value, rungs[-1] / rungs[-2])
            return further if further <= self.highest else None
        if value <= rungs[0]:
            further = _next(value, rungs[0] / rungs[1])
            return further if further >= self.lowest else None
        return None


def _next(value: float, ratio: float) -> float:
    """Three significant digits: settings are shown to people and stored. Whole numbers stay whole."""
    if isinstance(value, int):
        return round(value * ratio)
    return float(f"{value * ratio:.3g}")
