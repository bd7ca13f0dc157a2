"""The moving average of a network's weights over its steps: what is judged and kept when train.ema
is set.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """w̄_t = Σ_{k≤t} d^{t−k} w_k / Σ_{k≤t} d^{t−k} over the weights w_k after each step, decay d.

    Polyak and Juditsky 1992 in the exponential form, corrected like Adam's moments (Kingma and Ba
    2015), so that the weights before the first step leave no trace.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self._steps = 0
        self.values = {name: value.clone() for name, value in network.state_dict().items()}

    def add(self) -> None:
        """Take the network's present weights in."""
        # w̄_t = w̄_{t−1} + (w_t − w̄_{t−1}) (1 − d) / (1 − d^t)
        self._steps += 1
        rate = (1 - self._decay) / (1 - self._decay**self._steps)
        for name, value in self._network.state_dict().items():
            self.values[name].lerp_(value, rate)

    def restore(self, values: Mapping[str, Tensor], steps: int) -> None:
        """Go on from the average over `steps` earlier steps."""
        self._steps = steps
        for name, value in values.items():
            self.values[name].copy_(value)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the averaged weights inside, and its own again after."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, value in self._network.state_dict().items():
            own = value.clone()
            value.copy_(self.values[name])
            self.values[name].copy_(own)
