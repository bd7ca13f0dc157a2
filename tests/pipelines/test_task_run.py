"""Runs on logs whose validation is unlike the test, or hardly one: told before training, and mended
by what the warning names.
"""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.places import AUDIT
from pipelines.run import run
from recsys.core.artefacts import RunFolder, read_json
from recsys.core.config import RunConfig, with_overrides
from recsys.core.errors import DataError
from recsys.core.interactions import SEEN_OTHERWISE
from recsys.core.tables import BEHAVIOR, ITEM_ID, TIME, USER_ID
from recsys.evaluate.document import Report

START = 1_600_000_000
SMALL = {
    "threads": 1,
    "first": False,
    "model": {"width": 4, "heads": 1},
    "train": {"epochs": 1, "batch_size": 512, "negatives": 16},
    "evaluate": {"ks": [5], "bootstrap": 100, "baselines": ["popularity"]},
    "blend": {"neighbours": 20, "low_pass_rank": 4},
    "index": {"k": 5},
}


def config_of(data: dict[str, object], *sets: str) -> RunConfig:
    return with_overrides({**SMALL, "data": data}, sets)


def written(folder: Path, **tables: pl.DataFrame) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    paths = {}
    for name, table in tables.items():
        paths[name] = str(folder / f"{name}.parquet")
        table.write_parquet(paths[name])
    return paths


def audit_of(config: RunConfig, out: Path) -> dict:
    run(config, out, until="audit")
    return read_json(out / AUDIT / "audit.json")


@pytest.fixture(scope="module")
def leaking(tmp_path_factory) -> dict[str, object]:
    """150 users: what they buy in train was viewed before, what they buy in the test was not; train
    has times and the test has none.
    """
    draw, train, test = np.random.default_rng(0), [], []
    for user in range(150):
        own = np.arange(user % 3, 60, 3)
        for day, item in enumerate(draw.choice(own, 8, replace=False)):
            moment = START + 86_400 * day + user
            if day == 7:
                test.append((f"u{user}", f"i{item}", "buy"))
                continue
            train.append((f"u{user}", f"i{item}", "view", moment))
            train.append((f"u{user}", f"i{item}", "buy", moment + 600))
    columns = [USER_ID, ITEM_ID, BEHAVIOR]
    return written(
        tmp_path_factory.mktemp("leaking"),
        train=pl.DataFrame(train, schema=[*columns, TIME], orient="row"),
        test=pl.DataFrame(test, schema=columns, orient="row"),
    )


def test_a_leak_is_told_before_training_and_the_named_key_mends_it(leaking, tmp_path):
    sets = ["graph.target=buy", "split.min_warm_users=100"]
    config = config_of(leaking, *sets)
    [warning] = audit_of(config, tmp_path / "any")["warnings"]
    assert (
        "pairs met before under another behavior: 100 % in validation, 0 % in the test" in warning
    )
    keys = re.findall(r'(\S+) = "(\S+)"', warning)
    assert ("evaluate.task", "new") in keys
    named = [f"{key}={value}" for key, value in keys]
    audit = audit_of(config_of(leaking, *sets, *named), tmp_path / "new")
    assert audit["warnings"] == [] and audit["warm_validation_users"] >= 100


def test_what_is_asked_is_kept_from_validation_to_the_bundle(leaking, tmp_path):
    sets = ["graph.target=buy", "evaluate.task=new", "split.validation_method=leave_last"]
    run(config_of(leaking, *sets), tmp_path)
    report = Report.load(tmp_path / "report" / "report.json")
    assert report.facts.task == "new" and report.facts.validation_method == "leave_last"
    assert not report.facts.time_safe and not any(trait.differs for trait in report.traits)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Is validation like the test?" in page and "met under no behaviour" in page
    bundle = read_json(RunFolder(tmp_path).bundle / "bundle.json")
    assert sorted(bundle["seen_behaviors"]) == ["buy", "view"]


def test_pairs_met_before_the_test_are_dropped_and_counted(leaking, tmp_path):
    """With views in the test's past, "new" leaves those pairs out."""
    train, test = (pl.read_parquet(leaking[name]) for name in ("train", "test"))
    met = test.head(20).with_columns(
        pl.lit("view").alias(BEHAVIOR), pl.lit(START, pl.Int64).alias(TIME)
    )
    data = written(tmp_path / "data", train=pl.concat([train, met]), test=test)
    config = config_of(data, "graph.target=buy", "evaluate.task=new")
    assert audit_of(config, tmp_path / "run")["warm_test_users"] == 130
    drops = RunFolder(tmp_path / "run").read_manifest()["stages"]["audit"]["drops"]
    assert drops[SEEN_OTHERWISE] == 20


def steady(users: int = 40, items: int = 30, each: int = 10) -> pl.DataFrame:
    """Every user takes `each` items of those of a group, one a day."""
    draw, rows = np.random.default_rng(2), []
    for user in range(users):
        own = np.arange(user % 2, items, 2)
        for day, item in enumerate(draw.choice(own, each, replace=False)):
            rows.append((f"u{user}", f"i{item}", START + 86_400 * day + user))
    return pl.DataFrame(rows, schema=[USER_ID, ITEM_ID, TIME], orient="row")


def test_all_rows_of_one_second_name_what_goes_through(tmp_path):
    data = written(tmp_path / "data", log=steady().with_columns(pl.lit(START).alias(TIME)))
    with pytest.raises(DataError, match="cut") as caught:
        run(config_of(data), tmp_path / "run")
    assert 'split.method = "random"' in caught.value.remedy
    run(config_of(data, "split.method=random"), tmp_path / "run")
    assert RunFolder(tmp_path / "run").bundle.exists()


def test_a_validation_of_three_users_is_told_and_goes_through(tmp_path):
    log = steady()
    kept = log.filter(pl.col(USER_ID).is_in(["u1", "u2", "u3"]))
    rest = log.filter(~pl.col(USER_ID).is_in(["u1", "u2", "u3"]))
    late = kept.group_by(USER_ID, maintain_order=True).tail(2)
    train = pl.concat([rest, kept.join(late, on=[USER_ID, ITEM_ID], how="anti")])
    taken = train.group_by(USER_ID).agg(pl.col(ITEM_ID))
    test = []
    for user, items in taken.rows():
        own = [f"i{item}" for item in range(int(user[1:]) % 2, 30, 2)]
        test.append((user, next(item for item in own if item not in items), START + 86_400 * 40))
    data = written(
        tmp_path / "data",
        train=train,
        validation=late,
        test=pl.DataFrame(test, schema=[USER_ID, ITEM_ID, TIME], orient="row"),
    )
    run(config_of(data), tmp_path / "run")
    report = Report.load(tmp_path / "run" / "report" / "report.json")
    assert any("only 3 validation users are warm" in warning for warning in report.warnings)
    assert RunFolder(tmp_path / "run").bundle.exists()


def test_a_validation_without_a_warm_user_is_told_and_goes_through(tmp_path):
    log = steady()
    test = log.group_by(USER_ID, maintain_order=True).tail(1)
    train = log.join(test, on=[USER_ID, ITEM_ID], how="anti")
    strangers = test.head(5).with_columns(pl.col(USER_ID) + "x")
    data = written(tmp_path / "data", train=train, validation=strangers, test=test)
    run(config_of(data), tmp_path / "run")
    report = Report.load(tmp_path / "run" / "report" / "report.json")
    assert any("no validation user is warm" in warning for warning in report.warnings)


def test_a_test_without_a_warm_user_says_so(tmp_path):
    log = steady()
    strangers = log.head(50).with_columns(pl.col(USER_ID) + "x")
    data = written(tmp_path / "data", train=log, test=strangers)
    with pytest.raises(DataError, match="none of the 50 test rows") as caught:
        run(config_of(data), tmp_path / "run")
    assert "data.train and data.test" in caught.value.remedy


def test_a_user_with_half_of_all_rows_and_an_item_that_everybody_has(tmp_path):
    log = steady()
    crawler = pl.DataFrame(
        {
            USER_ID: ["crawler"] * len(log),
            ITEM_ID: [f"c{number}" for number in range(len(log))],
            TIME: [START + 1_000 * number for number in range(len(log))],
        }
    )
    gift = log.unique(USER_ID, maintain_order=True).with_columns(pl.lit("gift").alias(ITEM_ID))
    data = written(tmp_path / "data", log=pl.concat([log, crawler, gift]))
    run(config_of(data, "split.method=last_share"), tmp_path / "run")
    report = Report.load(tmp_path / "run" / "report" / "report.json")
    assert report.facts.warm_users >= 40 and RunFolder(tmp_path / "run").bundle.exists()
