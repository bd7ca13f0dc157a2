"""How far scores carry the popularity of items: the lengths of item vectors.

Training under cosine similarity compares directions; whose length a score should carry is for
validation to say. Of an inner product the lengths are learned, and stay.
"""

import itertools

from recsys.scores.term import Move, Stage, Term, TermSettings, VectorSource
from recsys.scores.trained_vectors import VectorScaling

LENGTH_POWERS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
POPULARITY_POWERS = (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)

LENGTHS_TRIED = (*LENGTH_POWERS, 1.4, 2.0)
POPULARITIES_TRIED = (-0.7, -0.45, -0.3, *POPULARITY_POWERS, 0.3, 0.45, 0.7, 1.0)
"""A search goes from one value to the next, and past the usual ones while that gains."""

POWERS = tuple(itertools.product(LENGTH_POWERS, POPULARITY_POWERS))
"""All usual points: (length_power, popularity_power)."""


class PopularitySettings(TermSettings):
    """Item vectors are multiplied by length^length_power · popularity^popularity_power.

    length_power: of the trained length.
    popularity_power: of the item's share of the largest degree in the graph.
    """

    length_power: float = 0.0
    popularity_power: float = 0.0

    def scaled(self, scaling: VectorScaling) -> VectorScaling:
        return scaling._replace(
            length_power=self.length_power, popularity_power=self.popularity_power
        )

    @property
    def extremity(self) -> float:
        """How far popular items are pushed down, and lengths past those of training."""
        return max(0.0, -self.popularity_power) + max(0.0, self.length_power - 1.0)

    def explain(self) -> dict[str, float]:
        words = {}
        if self.length_power:
            words["length"] = self.length_power
        if self.popularity_power:
            words["popularity"] = self.popularity_power
        return words


class Popularity(Term[PopularitySettings]):
    """Item vectors of other lengths."""

    name = "popularity"
    settings = PopularitySettings
    order = 60

    def moves(self, vectors: VectorSource) -> list[Move[PopularitySettings]]:
        if not (self.inputs.data.config.blend.lengths and vectors.can_stretch):
            return []
        return [
            Move(Stage.VECTORS, PopularitySettings, _neighbours, climbs=True),
            Move(Stage.ITEMS_AGAIN, PopularitySettings, _neighbours, climbs=True),
        ]


def _neighbours(settings: PopularitySettings) -> list[PopularitySettings]:
    """The points of the grid around the settings: what one power takes the other gives."""
    options = []
    for length_power in _beside(settings.length_power, LENGTHS_TRIED):
        with_length = settings.changed(length_power=length_power)
        for popularity_power in _beside(settings.popularity_power, POPULARITIES_TRIED):
            options.append(with_length.changed(popularity_power=popularity_power))
    return options


def _beside(value: float, grid: tuple[float, ...]) -> tuple[float, ...]:
    """A value of the grid and those before and after it."""
    position = grid.index(value)
    first = max(position - 1, 0)
    return grid[first : position + 2]
