"""What a search may try, and what it refuses before anything runs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.core.config import RunConfig, load_config, with_overrides
from recsys.core.errors import ConfigError
from recsys.phases.phase import Phase
from recsys.tune.space import Choices, Range, given_space, recipe, value_at, with_values


def space_of(*overrides: str) -> dict[str, object]:
    return dict(given_space(load_config(None, overrides)))


def test_ranges_take_the_type_of_their_key() -> None:
    space = space_of(
        "tune.space.train.lr={low=1e-3, high=1, log=true}",
        "tune.space.model.layers={low=1, high=3}",
    )
    assert space == {"train.lr": Range(1e-3, 1, log=True), "model.layers": Range(1, 3, whole=True)}


def test_dotted_keys_may_be_quoted_or_not() -> None:
    quoted = with_overrides({"tune": {"space": {"train.lr": {"low": 0.1, "high": 0.2}}}}, [])
    assert given_space(quoted) == space_of("tune.space.train.lr={low=0.1, high=0.2}")


def test_choices_may_be_lists_and_none() -> None:
    space = space_of(
        "tune.space.graph.half_life_days={choices=[30, 'none']}",
        "tune.space.train.fanouts={choices=[[5], [20, 10]]}",
    )
    assert space["graph.half_life_days"] == Choices.of(30, "none")
    fanouts = space["train.fanouts"]
    assert isinstance(fanouts, Choices) and [fanouts.value(label) for label in fanouts.labels] == [
        [5],
        [20, 10],
    ]


def test_a_whole_section_may_be_chosen() -> None:
    space = space_of("tune.space.graph.item_neighbours={choices=['none', {top_n=5}]}")
    assert space == {"graph.item_neighbours": Choices.of(None, {"top_n": 5})}


@pytest.mark.parametrize(
    ("key", "values", "told"),
    [
        ("train.lrr", "{low=1, high=2}", "Did you mean 'train.lr'"),
        ("trian.lr", "{low=1, high=2}", "Did you mean 'train.lr'"),
        ("train.lr", "{low=2, high=1}", "low = 2 is above high = 1"),
        ("train.lr", "{low=1}", "Give low and high, or choices"),
        ("train.lr", "{low=1, high=2, choices=[1]}", "Give low and high, or choices"),
        ("train.lr", "{choices=[]}", "tune.space.train.lr.choices"),
        ("train.lr", "{low='a', high=2}", "tune.space.train.lr.low"),
        ("train.lr", "{lwo=1, high=2}", "Did you mean 'low'"),
        ("train.lr", "{low=-1, high=2}", "train.lr = -1"),
        ("train.user_dropout", "{low=0, high=0.5, log=true}", "log needs a range above 0"),
        ("train.loss", "{low=1, high=2}", "takes no range"),
        ("train.loss", "{choices=['softmax', 'hinge']}", "train.loss = 'hinge'"),
        ("train.in_batch", "{low=0, high=1}", "takes no range"),
        ("model.layers", "{low=1, high=2.5}", "whole numbers"),
        ("train.lr", "{choices=['none']}", 'train.lr = "none"'),
        ("split.test_share", "{low=0.1, high=0.2}", "may not change"),
        ("train.metric_k", "{choices=[5]}", "may not change"),
        ("seed", "{low=0, high=9}", "may not change"),
    ],
)
def test_a_wrong_space_is_named(key: str, values: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(f"tune.space.{key}={values}")
    assert told in str(caught.value)


OF_SOFTMAX = {
    "history": {"train.temperature", "train.negatives", "train.top_k"},
    "degree_prior": {"train.temperature", "train.positive_ratio", "train.negative_sampling"},
}


@pytest.mark.parametrize("family", OF_SOFTMAX)
def test_the_recipe_is_short_and_fits_the_model(small_phase: Phase, family: str) -> None:
    phase = _with(small_phase, with_values(small_phase.config, {"model.family": family}))
    found = recipe(phase)
    assert len(found) in (9, 10) and "graph.half_life_days" in found
    assert set(found) >= OF_SOFTMAX[family]
    assert ("model.causal_block" in found) == (family == "history")
    for key, dimension in found.items():
        # The first trial is the configuration as given; what it leaves open is settled by a probe.
        value = value_at(phase.config, key)
        assert value is None or dimension.holds(value)
        for extreme in dimension.extremes():
            with_values(phase.config, {key: extreme})
    bpr = with_overrides({}, [f"model.family={family}", "train.loss=bpr", "model.similarity=dot"])
    assert not OF_SOFTMAX[family] & set(recipe(_with(small_phase, bpr)))


def test_the_recipe_takes_numbers_of_its_own_beside_the_usual_ones(small_phase: Phase) -> None:
    given = {"model.history": 35, "train.negatives": 96, "train.top_k": 7}
    config = with_values(small_phase.config, {"model.family": "history", **given})
    found = recipe(_with(small_phase, config))
    for key, value in given.items():
        assert found[key].holds(value)


def test_the_table_of_items_is_searched_where_it_is_used(small_phase: Phase) -> None:
    found = recipe(small_phase)
    no_table = with_overrides({}, ["blend.neighbours=0"])
    assert "blend.neighbours" in found and "blend.neighbours" not in recipe(
        _with(small_phase, no_table)
    )


def _with(phase: Phase, config: RunConfig) -> Phase:
    return replace(phase, config=config)


def test_a_key_of_an_absent_section_makes_the_section() -> None:
    config = with_values(
        load_config(None, ["graph={item_neighbours={}}"]), {"graph.item_neighbours.top_n": 7}
    )
    assert config == with_values(load_config(), {"graph.item_neighbours.top_n": 7})
    assert value_at(config, "graph.item_neighbours.top_n") == 7


@given(st.floats(1e-3, 3e-2), st.integers(1, 5))
def test_values_that_are_set_are_found_there(lr: float, layers: int) -> None:
    config = load_config(None, ["train.epochs=3", "graph.behavior_weights.view=2"])
    changed = with_values(
        config, {"train.lr": lr, "model.layers": layers, "graph.behavior_weights.view": 0.5}
    )
    assert (value_at(changed, "train.lr"), value_at(changed, "model.layers")) == (lr, layers)
    assert value_at(changed, "graph.behavior_weights.view") == 0.5
    assert changed.train.epochs == 3
    assert "seed" not in changed.model_dump(exclude_unset=True)


@given(st.floats(0.0123456, 0.0123499))
def test_drawn_numbers_are_rounded_and_stay_in_their_range(drawn: float) -> None:
    value = Range(0.0123456, 0.0123499).value(drawn)
    assert 0.0123456 <= value <= 0.0123499
    assert Range(0.001, 1).value(drawn) == 0.0123


@given(st.floats(1e-3, 1), st.integers(0, 1000))
def test_what_lies_beside_is_in_the_range_and_nearer_than_half_of_it(
    value: float, seed: int
) -> None:
    for one in (Range(1e-3, 1), Range(1e-3, 1, log=True)):
        found = one.beside(value, np.random.default_rng(seed))
        scale = np.log if one.log else float
        assert (
            one.holds(found)
            and abs(scale(found) - scale(value)) <= (scale(1) - scale(1e-3)) / 2 + 1e-9
        )
        assert one.holds(one.beside(None, np.random.default_rng(seed)))


@given(st.integers(1, 3), st.integers(0, 1000))
def test_beside_a_whole_number_is_the_next_beside_a_choice_another(value: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    assert abs(Range(1, 3, whole=True).beside(value, draw) - value) == 1
    assert Range(1, 1, whole=True).beside(1, draw) == 1
    assert Range(1, 3, whole=True).beside(None, draw) in (1, 2, 3)
    choices = Choices.of("a", None, value)
    assert choices.beside(choices.labels[1], draw) in (choices.labels[0], choices.labels[2])
    assert Choices.of("a").beside(Choices.of("a").labels[0], draw) == '"a"'
