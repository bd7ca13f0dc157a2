"""Trees that LightGBM learnt, as text; LightGBM is imported when they are first asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from recsys.core.arrays import Float32Array, Float64Array
from recsys.core.errors import DataError, MachineError
from recsys.second_stage.candidates import Sources

_MISSING = (
    "the optional package lightgbm is not installed, which the second stage needs; "
    'install it with: pip install "recsys[rank]"'
)

Columns = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class Trees:
    """Added to a first-stage score: unit · Σ trees(features).

    text: the model file of LightGBM.
    names: of the features, in their order.
    unit: what scores and their parts are counted in.
    candidates: the best of the first stage that it looks at.
    sources: candidates of others that it looks at besides.
    columns: by "item" and "user", the columns that are read: of each its categories by their
        numbers, none where it holds numbers.
    """

    text: str
    names: tuple[str, ...]
    unit: float
    candidates: int
    sources: Sources
    columns: Columns = field(default_factory=dict)

    def added(self, features: Float32Array) -> Float64Array:
        """(pairs,) to the scores of the first stage."""
        if not len(features):
            return np.zeros(0)
        values = self._booster.predict(features, raw_score=True, num_threads=1)
        return np.asarray(self.unit * values, np.float64)

    def shares(self, features: Float32Array) -> Float64Array:
        """(pairs, features + 1) what each feature adds, and last what all pairs get: they sum to
        `added` (TreeSHAP, Lundberg et al. 2018).
        """
        if not len(features):
            return np.zeros((0, len(self.names) + 1))
        values = self._booster.predict(features, pred_contrib=True, num_threads=1)
        return np.asarray(self.unit * values, np.float64)

    @cached_property
    def _booster(self) -> Any:
        require_lightgbm()
        import lightgbm

        try:
            return lightgbm.Booster(model_str=self.text)
        except lightgbm.basic.LightGBMError as error:
            raise DataError(
                f"the second stage cannot be read: {error}", "Write the bundle again"
            ) from None


def require_lightgbm() -> None:
    """Raises MachineError where it is not installed."""
    if find_spec("lightgbm") is None:
        raise MachineError(_MISSING)
