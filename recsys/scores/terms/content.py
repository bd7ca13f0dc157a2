"""Similar content: items of a history add to those whose texts or pictures are like theirs."""

from functools import cached_property

import numpy as np
from scipy import sparse

from recsys.content.nearest import nearest_content
from recsys.core.ladder import Ladder
from recsys.scores.addition import Addition, spread_of_table
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.last_results import LastResults
from recsys.scores.spread import factor
from recsys.scores.term import Move, Stage, Term, VectorSource, WeightedSettings, grid, refined

WEIGHTS = Ladder((0.02, 0.05, 0.1, 0.2, 0.4), lowest=0.005, highest=10.0)


class ContentSettings(WeightedSettings):
    """Similar content in a score.

    weight: of its scores, in standard deviations of the vectors' scores over the items.
    """

    def explain(self) -> dict[str, float]:
        return {"similar content": self.weight} if self.weight else {}


class Content(Term[ContentSettings]):
    """Adds h_u · N, h_u being the history of a user and N the cosines of the nearest contents."""

    name = "content"
    settings = ContentSettings
    order = 15

    def __init__(self, inputs: TermInputs, chosen: ContentSettings | None = None) -> None:
        super().__init__(inputs, chosen)
        self._spreads = LastResults(self._spread)

    def moves(self, vectors: VectorSource) -> list[Move[ContentSettings]]:
        if self.table is None:
            return []
        options = grid(Stage.GRID, ContentSettings, weight=WEIGHTS)
        return [options, refined(ContentSettings)]

    def addition(self, settings: ContentSettings, weights: HistoryWeights, unit: float) -> Addition:
        if self.table is None:
            return Addition()
        scale = factor(settings.weight * unit, self._spreads(weights))
        return Addition(table=self.table * np.float32(scale))

    @cached_property
    def table(self) -> sparse.csr_matrix | None:
        """(items, items) cosines above 0 of each item's nearest; None without contents."""
        data = self.inputs.data
        neighbours = data.config.features.neighbours
        vectors = [feature.vectors for feature in data.content_features]
        if not neighbours or not vectors:
            return None
        table = nearest_content(vectors, neighbours)
        return table if table.nnz else None

    def _spread(self, weights: HistoryWeights) -> float:
        """Of the table's scores before its weight."""
        if self.table is None:
            return 0.0
        return spread_of_table(self.table, self.inputs.sample_histories(weights))
