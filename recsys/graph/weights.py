"""What a row of the log weighs as an edge: its own weight, and how long ago it was."""

import numpy as np

from recsys.core.arrays import Float32Array, Float64Array, Int64Array
from recsys.core.config import GraphConfig
from recsys.core.errors import ConfigError, DataError
from recsys.core.interactions import DAY_SECONDS, Interactions

_AUTOMATIC_SHARE = 1 / 8  # chosen on the validation of four logs: benchmarks/notes/tried.md


def row_weights(interactions: Interactions, config: GraphConfig) -> Float64Array:
    """(n,) log weight × time decay of each row, > 0."""
    weight = np.ones(len(interactions))
    if config.use_weights:
        weight *= _checked(interactions.weight)
    for behavior in interactions.behaviors:
        half_life_days = config.half_life_of(behavior)
        if half_life_days is not None:
            rows = interactions.of(behavior)
            weight[rows] *= _log_decay(interactions.time, half_life_days)[rows]
    return weight


def automatic_half_life(interactions: Interactions) -> float | None:
    """An eighth of the days from the first row to the last; None where there is but one moment, or
    no time.
    """
    return interactions.days * _AUTOMATIC_SHARE or None


def _checked(weight: Float32Array) -> Float32Array:
    wrong = ~(np.isfinite(weight) & (weight > 0))
    if wrong.any():
        raise DataError(
            f"{int(wrong.sum())} of {len(weight)} rows have a weight that is not a number above 0, the first {weight[wrong][0]}",
            "Drop or mend those rows, or set graph.use_weights = false",
        )
    return weight


def _log_decay(time: Int64Array | None, half_life_days: float) -> Float64Array:
    if time is None:
        raise ConfigError(
            f"a half-life of {half_life_days} days needs times, and the log has none",
            "Name the time column (data.time_col), or leave graph.half_life_days out",
        )
    return decay(time, int(time.max()), half_life_days)


def decay(time: Int64Array, now: int, half_life_days: float) -> Float64Array:
    """(n,) 2^(−age / half-life), counted back from `now`, unix seconds."""
    age_days = (now - time) / DAY_SECONDS
    return np.asarray(np.exp2(-age_days / half_life_days))
