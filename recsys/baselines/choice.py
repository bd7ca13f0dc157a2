"""What tuning a baseline on validation comes to."""

from collections.abc import Callable
from typing import Any, NamedTuple

from recsys.core.ranking import Scorer

Params = dict[str, Any]
Value = Callable[[Scorer], float]
"""What a scorer is worth on validation: NDCG@k."""


class Choice(NamedTuple):
    """The setting that did best on validation.

    params: the setting.
    value: its validation value.
    tried: every setting and its value.
    scorer: fitted with it on the rows that the others were.
    """

    params: Params
    value: float
    tried: list[tuple[Params, float]]
    scorer: Scorer
