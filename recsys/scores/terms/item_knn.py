"""ItemKNN as a term: the nearest items of each candidate, by the cosine of their users."""

from scipy import sparse

from recsys.closed_form.itemknn import fit_itemknn
from recsys.scores.addition import Addition, spread_of_table
from recsys.scores.inputs import HistoryWeights, TermInputs
from recsys.scores.last_results import LastResults
from recsys.scores.spread import factor
from recsys.scores.term import Term, WeightedSettings


class ItemKnnSettings(WeightedSettings):
    """ItemKNN in a score; the settings are those of the baseline (`closed_form.itemknn`)."""

    neighbours: int = 100
    shrinkage: float = 5.0
    damping: float = 1.0

    def explain(self) -> dict[str, float]:
        return {"ItemKNN": self.weight} if self.weight else {}


class ItemKnn(Term[ItemKnnSettings]):
    """Adds h_u · similarities; a search tries it where the tuned baseline is as good as the model."""

    name = "item_knn"
    settings = ItemKnnSettings
    order = 70

    def __init__(self, inputs: TermInputs, chosen: ItemKnnSettings | None = None) -> None:
        super().__init__(inputs, chosen)
        self._tables = LastResults(self._table, size=1)

    def addition(self, settings: ItemKnnSettings, weights: HistoryWeights, unit: float) -> Addition:
        table = self._tables(settings.changed(weight=1.0))
        spread = spread_of_table(table, self.inputs.sample_histories(weights))
        return Addition(table=table * factor(settings.weight * unit, spread))

    def _table(self, settings: ItemKnnSettings) -> sparse.csr_matrix:
        data = self.inputs.data
        return fit_itemknn(
            data.interactions,
            data.target,
            settings.neighbours,
            settings.shrinkage,
            settings.damping,
        ).table
