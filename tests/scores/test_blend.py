"""A blend as plain values: the present form, the flat form of 0.1, and what is refused."""

import json

import pytest

from recsys.core.errors import DataError
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.inputs import HistoryWeights
from recsys.scores.registry import all_terms
from recsys.scores.term import Stage
from recsys.scores.terms.auxiliary_behaviors import AuxiliarySettings
from recsys.scores.terms.item_item import ItemItemSettings
from recsys.scores.trained_vectors import AS_TRAINED, VectorScaling

FLAT = {
    "recent": 10.0,
    "own": 0.3,
    "length": 0.2,
    "popularity": 0.05,
    "table": 0.4,
    "ridge": 50.0,
    "half_life": 20.0,
    "low_pass": 0.1,
    "rank": 64,
    "met": [["view", 2.0], ["cart", 1.0]],
    "met_power": 0.5,
    "heard": 0.2,
    "side": 0.3,
    "trend": 1.5,
    "trend_days": 5.0,
    "fresh_days": 8.0,
}
NESTED = {
    "trained_vectors": {"weight": 1, "half_life_events": 10.0, "self_weight": 0.3},
    "item_item": {
        "weight": 0.4,
        "ridge": 50.0,
        "neighbours": None,
        "attribute_weight": 0.3,
        "half_life_days": 8.0,
    },
    "content": {"weight": 0.0},
    "trend": {"weight": 1.5, "half_life_days": 5.0},
    "most_popular": {"weight": 0.0, "share": 1.0},
    "auxiliary_behaviors": {"weights": {"view": 2.0, "cart": 1.0}, "power": 0.5},
    "history": {"half_life_events": 20.0, "auxiliary_weight": 0.2},
    "low_pass": {"weight": 0.1, "rank": 64},
    "popularity": {"length_power": 0.2, "popularity_power": 0.05},
    "item_knn": {"weight": 0.0, "neighbours": 100, "shrinkage": 5.0, "damping": 1.0},
    "ease": {"weight": 0.0, "regularisation": 200.0},
    "gf_cf": {"weight": 0.0, "rank": 256, "low_pass_weight": 0.3},
}


def test_both_forms_are_read_and_the_present_one_is_written():
    blend = Blend.read(FLAT)
    assert blend == Blend.read(NESTED)
    assert blend.document() == NESTED
    assert Blend.read(json.loads(json.dumps(blend.document()))) == blend
    assert hash(blend) == hash(Blend.read(NESTED))


def test_what_follows_from_a_blend():
    blend = Blend.read(NESTED)
    assert blend.scaling == VectorScaling(10.0, 0.3, 0.2, 0.05)
    assert blend.history_weights == HistoryWeights(20.0, 0.2)
    assert not blend.empty
    assert blend.explain() == {
        "item–item table, freshness of 8 days": 0.4,
        "attributes in the table": 0.3,
        "trend of 5 days": 1.5,
        "gain of items under view": 2.0,
        "gain of items under cart": 1.0,
        "auxiliary behaviours in histories": 0.2,
        "low-pass": 0.1,
        "length": 0.2,
        "popularity": 0.05,
    }


def test_the_flat_form_had_the_table_unless_its_weight_was_0():
    assert Blend.read({"trend": 0.0}).of(ItemItemSettings).weight == 0.2
    assert Blend.read({"table": 0.0}) == NO_BLEND


def test_nothing_named_is_the_vectors_alone():
    assert NO_BLEND.empty and NO_BLEND.scaling == AS_TRAINED and NO_BLEND.explain() == {}
    assert Blend.read({}) == Blend.of_terms(trend={}) == NO_BLEND


def test_weights_of_behaviours():
    settings = AuxiliarySettings().weighing("view", 2.0).weighing("cart", 1.0)
    assert settings.weight_of("view") == 2.0 and settings.weight_of("like") == 0.0
    assert settings.weighing("view", 0.0).weights == (("cart", 1.0),)
    assert settings.weighing("like", 0.0) == settings


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"item_itme": {"weight": 0.2}}, "'item_itme'.*Did you mean 'item_item'"),
        ({"trend": {"wieght": 0.2}}, "trend.wieght.*'weight'"),
        ({"trend": {"weight": "much"}}, "trend.weight = 'much'"),
        ({"tabel": 0.2}, "'tabel'.*Did you mean 'table'"),
    ],
)
def test_what_there_is_not_is_named(document, words):
    with pytest.raises(DataError, match=words):
        Blend.read(document)


def test_every_module_of_the_package_is_a_term():
    names = [term.name for term in all_terms()]
    assert names == list(NESTED)
    assert [term.__module__.rpartition(".")[2] for term in all_terms()] == names
    assert sorted(Stage) == list(Stage)
