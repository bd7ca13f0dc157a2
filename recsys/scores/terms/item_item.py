"""The item–item table: items of a history add to the items that follow from them."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.closed_form.item_item import item_item_tables
from recsys.core.arrays import Float32Array
from recsys.core.interactions import Interactions
from recsys.core.ladder import Ladder
from recsys.graph.baskets import baskets
from recsys.scores.addition import Addition, spread_of_table
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.last_results import LastResults
from recsys.scores.recency import decayed_counts, half_life_ladder
from recsys.scores.spread import factor
from recsys.scores.term import (
    Move,
    Stage,
    Term,
    VectorSource,
    WeightedSettings,
    grid,
    refined,
)

WEIGHTS = Ladder((0.05, 0.1, 0.2, 0.4, 0.8, 1.6), lowest=0.01, highest=100.0)
USUAL_WEIGHT = 0.2
RIDGES: tuple[float, ...] = (15.0, 50.0, 5.0, 150.0, 500.0)
"""Tables of all of them are fitted at once."""
RIDGE_LADDER = Ladder(RIDGES, lowest=0.5, highest=20_000.0)
ATTRIBUTE_WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
USUAL_ATTRIBUTE_WEIGHT = 0.3


class ItemItemSettings(WeightedSettings):
    """The item–item table in a score.

    weight: of its scores, in standard deviations of the vectors' scores over the items.
    ridge: of the regression (`closed_form.item_item_tables`).
    neighbours: items that add to one item's score, at most; those of the configuration for None.
    attribute_weight: of rows of items that share an attribute or are linked (`graph.baskets`), as
        against that of the users' pairs.
    half_life_days: of the `freshness` by which what the table adds to an item is multiplied; None
        where it is not.
    """

    ridge: float = RIDGES[0]
    neighbours: int | None = None
    attribute_weight: float = 0.0
    half_life_days: float | None = None

    def explain(self) -> dict[str, float]:
        if not self.weight:
            return {}
        fresh = ""
        if self.half_life_days is not None:
            fresh = f", freshness of {self.half_life_days:g} days"
        words = {f"item–item table{fresh}": self.weight}
        if self.attribute_weight:
            words["attributes in the table"] = self.attribute_weight
        return words


class _TableKey(NamedTuple):
    """What tables depend on beside their rows."""

    with_auxiliary: bool
    attribute_weight: float
    neighbours: int | None
    ridges: tuple[float, ...]


class ItemItem(Term[ItemItemSettings]):
    """Adds h_u · table, h_u being the history of a user; row j is what item j adds to others."""

    name = "item_item"
    settings = ItemItemSettings
    order = 10

    def __init__(self, inputs: TermInputs, chosen: ItemItemSettings | None = None) -> None:
        super().__init__(inputs, chosen)
        self._by_ridge = LastResults(self._fit)
        self._freshness = LastResults(self._fresh)
        self._tables = LastResults(self._table, size=2)
        self._spreads = LastResults(self._spread)

    def moves(self, vectors: VectorSource) -> list[Move[ItemItemSettings]]:
        if not self.inputs.data.config.blend.neighbours:
            return []
        days = half_life_ladder(self.inputs.data)
        moves = [
            grid(Stage.START, ItemItemSettings, forced=True, weight=[USUAL_WEIGHT]),
            grid(Stage.WEIGHT, ItemItemSettings, weight=WEIGHTS),
            grid(Stage.FORK, ItemItemSettings, half_life_days=days, weight=WEIGHTS),
            grid(Stage.GRID, ItemItemSettings, ridge=RIDGE_LADDER),
        ]
        if self.attribute_rows is not None:
            moves.append(Move(Stage.GRID, ItemItemSettings, _attribute_weights, climbs=True))
        moves.append(refined(ItemItemSettings))
        return moves

    def addition(
        self, settings: ItemItemSettings, weights: HistoryWeights, unit: float
    ) -> Addition:
        if not (settings.neighbours or self.inputs.data.config.blend.neighbours):
            return Addition()
        unscaled = settings.changed(weight=1.0)
        table = self._tables((unscaled, weights.auxiliary_weight > 0))
        spread = self._spreads((unscaled, weights))
        scale = factor(settings.weight * unit, spread)
        return Addition(table=table * np.float32(scale))

    @cached_property
    def attribute_rows(self) -> sparse.csr_matrix | None:
        """(rows, items) items that belong together; None where the graph says nothing of them."""
        data = self.inputs.data
        if not (data.config.graph.attributes or data.relations):
            return None
        rows = baskets(data.graph)
        return rows if rows.nnz else None

    def _table(self, table_key: tuple[ItemItemSettings, bool]) -> sparse.csr_matrix:
        """(items, items) before its weight; the flag says whether auxiliary pairs count."""
        settings, with_auxiliary = table_key
        ridges = RIDGES
        alone = self.chosen is not None or settings.ridge not in RIDGES
        if alone or settings.attribute_weight:
            ridges = (settings.ridge,)
        key = _TableKey(with_auxiliary, settings.attribute_weight, settings.neighbours, ridges)
        tables = self._by_ridge(key)
        table = tables[settings.ridge]
        if settings.half_life_days is None:
            return table
        # Column i holds what item i gets: it is multiplied by the freshness of item i.
        fresh = sparse.diags(self._freshness(settings.half_life_days))
        return (table @ fresh).tocsr()

    def _fit(self, key: "_TableKey") -> dict[float, sparse.csr_matrix]:
        """Tables by ridge."""
        pairs = self.inputs.pairs
        matrix = pairs
        target = None
        if key.with_auxiliary and self.inputs.auxiliary:
            data = self.inputs.data
            matrix = data.interactions.matrix((data.target, *self.inputs.auxiliary))
            target = pairs
        if key.attribute_weight and self.attribute_rows is not None:
            # All rows together weigh `attribute_weight` times what the pairs do.
            rows = self.attribute_rows
            squares = (rows.data**2).sum()
            scale = np.sqrt(key.attribute_weight * pairs.nnz / squares)
            rows = rows * np.float32(scale)
            matrix = sparse.vstack([matrix, rows], format="csr")
            target = sparse.vstack([pairs, rows], format="csr")
        neighbours = key.neighbours or self.inputs.data.config.blend.neighbours
        tables = item_item_tables(matrix, neighbours, key.ridges, self.inputs.progress, target)
        return dict(zip(key.ridges, tables, strict=True))

    def _fresh(self, half_life_days: float) -> Float32Array:
        data = self.inputs.data
        return freshness(data.interactions, data.target, half_life_days)

    def _spread(self, key: tuple[ItemItemSettings, HistoryWeights]) -> float:
        """Of the table's scores before its weight."""
        settings, weights = key
        table = self._tables((settings, weights.auxiliary_weight > 0))
        return spread_of_table(table, self.inputs.sample_histories(weights))


def freshness(interactions: Interactions, target: str, half_life_days: float) -> Float32Array:
    """(items,) the share of an item's interactions that are recent, from 0 to 1.

    The decayed rows of the item under the target behaviour over their number; 0 for an item without
    any.
    """
    recent, number = decayed_counts(interactions, target, half_life_days)
    return np.asarray(recent / np.maximum(number, 1), np.float32)


def _attribute_weights(settings: ItemItemSettings) -> list[ItemItemSettings]:
    """The usual one, and from there those beside: each takes a fit of its own."""
    if not settings.attribute_weight:
        return [settings.changed(attribute_weight=USUAL_ATTRIBUTE_WEIGHT)]
    position = ATTRIBUTE_WEIGHTS.index(settings.attribute_weight)
    beside = [
        *ATTRIBUTE_WEIGHTS[max(position - 1, 0) : position],
        *ATTRIBUTE_WEIGHTS[position + 1 : position + 2],
    ]
    return [settings.changed(attribute_weight=weight) for weight in beside]
