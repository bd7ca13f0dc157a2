"""The rows: files that can be read, configurations that hold, and what is changed where."""

import pytest

from benchmarks.accuracy.data import SETS, configuration, merged
from benchmarks.accuracy.rows import FOLDER, Row, row, rows
from recsys.baselines.catalogue import BASELINES
from recsys.core.errors import UsageError

ROWS = rows()


@pytest.mark.parametrize("name", ROWS)
def test_every_row_gives_a_configuration_on_every_set_it_names(name: str) -> None:
    one = ROWS[name]
    assert one.datasets and set(one.datasets) <= set(SETS)
    assert one.baseline is None or one.baseline in BASELINES
    assert one.script is None or (FOLDER / "peers" / one.script).exists()
    assert one.environment is None or (FOLDER / "peers" / f"{one.environment}.txt").exists()
    for dataset in one.datasets:
        configured = configuration(dataset, FOLDER, one.changes_on(dataset))
        assert {10, 20} <= set(configured.evaluate.ks)


def test_a_dataset_of_a_row_goes_over_the_row_and_the_row_over_the_set() -> None:
    one = Row(
        "one",
        "One",
        changes={"train": {"lr": 0.1, "epochs": 3}},
        on={"gowalla": {"train": {"epochs": 5}}},
    )
    train = configuration("gowalla", FOLDER, one.changes_on("gowalla")).train
    assert (train.lr, train.epochs, train.metric_k) == (0.1, 5, 20)
    assert configuration("ml-100k", FOLDER, one.changes_on("ml-100k")).train.epochs == 3


def test_a_lever_changes_the_base_and_nothing_else() -> None:
    base, lever = row("ablation:base"), row("ablation:heads-1")
    assert lever.changes == merged(base.changes, {"model": {"heads": 1}})
    assert (lever.base, base.base) == ("ablation:base", "ablation:base")
    base, lever = row("ablation:history-base"), row("ablation:history-user-table")
    assert lever.changes == merged(base.changes, {"model": {"user_table": True}})
    assert (lever.base, lever.datasets, lever.seeds) == (base.name, base.datasets, base.seeds)
    assert len(base.datasets) >= 4


def test_an_unknown_row_is_told_with_a_near_one() -> None:
    with pytest.raises(UsageError, match="'attention-64'"):
        row("attention64")


def test_a_row_that_follows_the_default_family_is_named_for_it() -> None:
    following = set()
    for name, one in ROWS.items():
        family = one.changes.get("model", {}).get("family")
        if not family and not one.baseline and not one.script:
            following.add(name)
    assert following == {
        "default",
        "tuned",
        "no-trend",
        "steady",
        "arena",
        "arena-train-only",
        "arena-gamma0",
    }
