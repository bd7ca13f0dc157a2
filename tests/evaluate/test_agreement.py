"""How far validation and the test agree on the order of models, by hand."""

import pytest

from recsys.evaluate.agreement import agreement
from recsys.evaluate.document import ModelRow, Value


def row(name, validation, test):
    metrics = {} if test is None else {"ndcg@5": Value(value=test)}
    return ModelRow(name=name, title=name, role="baseline", validation=validation, metrics=metrics)


def test_one_pair_of_three_the_other_way_round():
    rows = [row("a", 0.3, 0.1), row("b", 0.2, 0.2), row("c", 0.1, 0.05)]
    found = agreement(rows, "ndcg@5")
    assert (found.pairs, found.turned) == (3, 1)
    assert found.tau == pytest.approx(1 / 3)
    places = [(place.model, place.validation, place.test) for place in found.places]
    assert places == [("a", 1, 2), ("b", 2, 1), ("c", 3, 3)]


@pytest.mark.parametrize(("tests", "tau"), [((0.3, 0.2, 0.1), 1.0), ((0.1, 0.2, 0.3), -1.0)])
def test_the_same_order_and_the_opposite(tests, tau):
    rows = [row(str(place), 0.9 - place / 10, value) for place, value in enumerate(tests)]
    assert agreement(rows, "ndcg@5").tau == tau


def test_models_without_both_figures_do_not_count():
    rows = [row("a", 0.3, 0.1), row("b", None, 0.2), row("c", 0.2, None)]
    assert agreement(rows, "ndcg@5") is None
