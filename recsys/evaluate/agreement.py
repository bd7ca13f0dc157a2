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
    on_validation = [row.validation or 0.0 for row in models]
    on_test = [row.metrics[deciding].value for row in models]
    # τ = (pairs in the same order − pairs in the other) / pairs
    alike = 0
    turned = 0
    for first, second in combinations(range(len(models)), 2):
        validated = on_validation[first] - on_validation[second]
        tested = on_test[first] - on_test[second]
        alike += validated * tested > 0
        turned += validated * tested < 0
    pairs = len(models) * (len(models) - 1) // 2
    places = []
    for row, validated, tested in zip(models, on_validation, on_test, strict=True):
        places.append(
            Places(
                model=row.name,
                validation=1 + sum(value > validated for value in on_validation),
                test=1 + sum(value > tested for value in on_test),
            )
        )
    return Agreement(tau=(alike - turned) / pairs, pairs=pairs, turned=turned, places=places)
