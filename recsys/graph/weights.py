"""How the rows of a log weigh as edges; the formula is in `core.history`."""

import numpy as np

from recsys.core.arrays import Float32Array
from recsys.core.config import GraphConfig
from recsys.core.errors import ConfigError, DataError
from recsys.core.history import EdgeWeighting
from recsys.core.interactions import Interactions

_AUTOMATIC_SHARE = 1 / 8  # chosen on the validation of four logs: benchmarks/notes/tried.md


def edge_weighting(interactions: Interactions, config: GraphConfig, behavior: str) -> EdgeWeighting:
    """How rows of a behaviour weigh, their age counted back from the last row of the phase.

    Raises ConfigError for a half-life when the log has no clock.
    """
    half_life_days = config.half_life_of(behavior)
    moments = interactions.moments
    if half_life_days is not None and moments is None:
        key = "half_life_days"
        if behavior in config.behavior_half_life_days:
            key = "behavior_half_life_days"
        raise ConfigError(
            f"a half-life of {half_life_days} days needs times, and {interactions.no_moments}",
            f"Name the time column (data.time_col), or leave graph.{key} out",
        )
    return EdgeWeighting(
        behavior_weight=config.behavior_weights.get(behavior, 1.0),
        use_weights=config.use_weights,
        half_life_days=half_life_days,
        now=None if moments is None else int(moments.max(initial=0)),
    )


def check_weights(weight: Float32Array) -> None:
    """Raises DataError for a weight of the log that is not a number above 0."""
    wrong = ~(np.isfinite(weight) & (weight > 0))
    if wrong.any():
        raise DataError(
            f"{int(wrong.sum())} of {len(weight)} rows have a weight that is not a number above 0, the first {weight[wrong][0]}",
            "Drop or mend those rows, or set graph.use_weights = false",
        )


def automatic_half_life(interactions: Interactions) -> float | None:
    """An eighth of the days from the first row to the last; None for a single moment or no clock."""
    return interactions.days * _AUTOMATIC_SHARE or None
