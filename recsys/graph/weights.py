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

    Raises ConfigError for a half-life when the log has no times.
    """
    half_life_days, time = config.half_life_of(behavior), interactions.time
    if half_life_days is not None and time is None:
        raise ConfigError(
            f"a half-life of {half_life_days} days needs times, and the log has none",
            "Name the time column (data.time_col), or leave graph.half_life_days out",
        )
    return EdgeWeighting(
        behavior_weight=config.behavior_weights.get(behavior, 1.0),
        use_weights=config.use_weights,
        half_life_days=half_life_days,
        now=None if time is None else int(time.max(initial=0)),
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
    """An eighth of the days from the first row to the last; None for a single moment or no times."""
    return interactions.days * _AUTOMATIC_SHARE or None
