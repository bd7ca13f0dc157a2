"""What a budget leaves out: in its order, no more than it must, and the same every time."""

from dataclasses import replace

import pytest

from recsys.budget.counts import Counts
from recsys.budget.leave_out import FEW_DRAWS, within_budget
from recsys.core.config import RunConfig, with_overrides
from recsys.core.errors import ConfigError


def seconds(config: RunConfig) -> float:
    """A cost of round numbers: what each part takes is known."""
    total = 5.0
    total += 1000 if config.evaluate.ablate_relations else 0
    total += 500 if "lightgcn" in config.evaluate.baselines else 0
    total += 50 * len([name for name in config.evaluate.baselines if name != "lightgcn"])
    total += config.evaluate.bootstrap / 1000
    total += 40 if config.refit else 0
    total += 10 * config.train.epochs
    return total


def budgeted(counts: Counts, minutes: float | None, *sets: str) -> tuple[list[str], RunConfig]:
    raw = {
        "budget_minutes": minutes,
        "train": {"epochs": 10},
        "evaluate": {"twin_minutes": 60},
    }
    config = with_overrides(raw, ["evaluate.ablate_relations=true", *sets])
    result = within_budget(config, counts, seconds)
    return [part.part for part in result.left_out], result.config


def test_without_a_budget_everything_stays(counts: Counts) -> None:
    names, config = budgeted(counts, None)
    assert names == [] and config.evaluate.ablate_relations


def test_a_budget_that_suffices_leaves_everything(counts: Counts) -> None:
    names, config = budgeted(counts, 60)
    assert names == [] and config.evaluate.ablate_relations


def test_the_first_part_goes_first_and_alone_where_that_is_enough(counts: Counts) -> None:
    names, config = budgeted(counts, 20)
    assert names == ["ablation"]
    assert "lightgcn" in config.evaluate.baselines


def test_dear_baselines_go_one_by_one_and_the_dearest_first(counts: Counts) -> None:
    # Without ablation and twin: 5 + 350 + 10 + 40 + 100 = 505 s; one baseline has to go.
    names, config = budgeted(counts, 8)
    assert names[:2] == ["ablation", "twin without attention"]
    assert len(names) == 3 and names[2].startswith("baseline ")
    assert len(config.evaluate.baselines) == 6


def test_popularity_is_never_left_out(counts: Counts) -> None:
    _, config = budgeted(counts, 3)
    assert config.evaluate.baselines == ["popularity", "popularity_recent"]
    assert config.evaluate.bootstrap == FEW_DRAWS


def test_a_dear_twin_is_left_out_unless_it_is_asked_for(counts: Counts) -> None:
    # It takes 500 s.
    names, config = budgeted(counts, None, "evaluate.twin_minutes=8")
    assert names == ["twin without attention"] and "lightgcn" not in config.evaluate.baselines
    names, config = budgeted(counts, None, "evaluate.twin_minutes=9")
    assert names == [] and "lightgcn" in config.evaluate.baselines


def test_the_probe_goes_before_epochs_and_named_values_stay(counts: Counts) -> None:
    names, config = budgeted(counts, 2.6, "train.temperature=0.3")
    assert names[-2:] == ["probe", "epochs"]
    assert (config.train.temperature, config.train.top_k, config.train.horizon) == (0.3, 0, 1)
    names, _ = budgeted(counts, 2.6, "train.temperature=0.3", "train.top_k=5", "train.horizon=1")
    assert "probe" not in names


def test_without_the_time_for_two_epochs_nothing_is_trained(counts: Counts) -> None:
    names, config = budgeted(counts, 1.9)
    assert names[-2:] == ["epochs", "training"] and config.train.epochs == 0


def test_epochs_go_last_and_as_few_as_must_be(counts: Counts) -> None:
    # The least before epochs: 5 + 100 + 1 + 10 a pass; 156 s leave 5 of them.
    names, config = budgeted(counts, 2.6)
    assert names[-1] == "epochs" and "refit" in names
    assert config.train.epochs == 5 and not config.refit


def test_what_is_left_keeps_the_budget(counts: Counts) -> None:
    for minutes in (2.5, 3, 4, 6, 8, 10, 16, 30):
        _, config = budgeted(counts, minutes)
        assert seconds(config) <= 60 * minutes


def test_too_little_is_an_error_whose_remedy_suffices(counts: Counts) -> None:
    with pytest.raises(ConfigError) as told:
        budgeted(counts, 1)
    assert "budget_minutes = 1:" in str(told.value)
    minutes = int(told.value.remedy.split("budget_minutes = ")[1].split(",")[0])
    names, config = budgeted(counts, minutes)
    assert names and seconds(config) <= 60 * minutes


def test_a_log_of_items_with_few_rows_is_told_to_leave_them_out(counts: Counts) -> None:
    with pytest.raises(ConfigError) as told:
        budgeted(replace(counts, items=counts.rows), 1)
    assert "clean.min_item_interactions = 5" in told.value.remedy
    with pytest.raises(ConfigError) as told:
        budgeted(replace(counts, items=counts.rows // 5), 1)
    assert "clean.start" in told.value.remedy


def test_parts_that_are_not_there_are_not_named(counts: Counts) -> None:
    names, _ = budgeted(
        counts, 3, "evaluate.ablate_relations=false", "evaluate.baselines=popularity"
    )
    assert "ablation" not in names and "twin without attention" not in names
    assert "tuning of baselines" not in names


def test_counts_know_what_phases_learn_from(counts: Counts) -> None:
    assert [counts.at(phase).pairs for phase in ("select", "final", "serve")] == [800, 900, 1000]
    assert Counts.read(counts.document()) == counts
    assert replace(counts, pairs=1).at("serve").pairs == 201
