"""How far validation and the test agree on which model is better."""

from collections.abc import Sequence
from itertools import combinations

from recsys.evaluate.document import Agreement, ModelRow, Places


def agreement(rows: Sequence[ModelRow], deciding: str) -> Agreement | None:
    """Kendall's rank correlation over all models with both figures; None for fewer than two.

    deciding: name of the deciding metric.
    """
    models = [row for row in rows if row.metrics and row.validation is not None]
    if len(models) < 2:
        return None
    by_validation = sorted(models, key=lambda row: -(row.validation or 0.0))
    by_test = sorted(models, key=lambda row: -row.metrics[deciding].value)
    turned = 0
    pairs = 0
    for better, worse in combinations(by_validation, 2):
        pairs += 1
        turned += better.metrics[deciding].value < worse.metrics[deciding].value
    places = []
    for on_validation, row in enumerate(by_validation):
        on_test = by_test.index(row)
        places.append(Places(model=row.name, validation=1 + on_validation, test=1 + on_test))
    # τ = 1 − 2 · (pairs the other way round) / pairs
    return Agreement(tau=1 - 2 * turned / pairs, pairs=pairs, turned=turned, places=places)
