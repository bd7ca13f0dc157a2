"""A run with titles: cold items lie by their like, the report says what that brings, new items are
placed by their titles.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chain import Call, Heard, Settings
from pipelines.places import CONTENTS
from pipelines.plan import plan
from pipelines.run import run
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder
from recsys.evaluate.document import Report

WORDS = ("oak table", "silk scarf", "garden hose", "piano sonata")


def title_of(item: str) -> str:
    """Says to which community an item belongs."""
    return f"{WORDS[int(item[1:]) % 4]} no. {item[1:]}"


@pytest.fixture(scope="module")
def shop(world: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Items have titles and nothing else; nobody took item 1 before the test."""
    folder = tmp_path_factory.mktemp("shop")
    log = pl.read_parquet(world / "log.parquet")
    late = log["item_id"][0]
    last = pl.col("timestamp").max() + 1
    when = pl.when(pl.col("item_id") == late).then(last).otherwise(pl.col("timestamp"))
    log.with_columns(timestamp=when).write_parquet(folder / "log.parquet")
    ids = pl.read_parquet(world / "items.parquet")["item_id"]
    titles = [title_of(item) for item in ids]
    pl.DataFrame({"item_id": ids, "title": titles}).write_parquet(folder / "items.parquet")
    changes = (
        'features.text=[{columns=["title"], dimensions=8}]',
        f"features.cache={folder / 'cache'}",
        'evaluate.baselines=["popularity"]',
        "train.epochs=4",
        "refit=false",
    )
    run(settings(folder, *changes), folder / "run")
    return RunFolder(folder / "run")


def test_the_report_says_what_titles_bring(shop: RunFolder) -> None:
    report = Report.load(shop.report / "report.json")
    cold = report.content[0]
    assert cold.group == "cold items" and cold.users > 0
    # Without a title nothing is known of the item.
    assert cold.without == 0 and cold.value == cold.difference > 0
    assert cold.low <= cold.difference <= cold.high
    page = (shop.report / "report.html").read_text(encoding="utf-8")
    assert "What texts and pictures bring" in page


def test_a_new_item_lies_by_its_like(shop: RunFolder, tmp_path: Path, call: Call) -> None:
    before = Bundle.load(shop.bundle.resolve())
    table = pl.DataFrame(
        {"item_id": ["new", "unlike"], "title": ["silk scarf in red", "\N{SNOWMAN}"]}
    )
    table.write_parquet(tmp_path / "new.parquet")
    said = json.loads(
        call("add-items", shop.path, "--items", tmp_path / "new.parquet", "--json").out
    )
    assert said["added"] == 1 and said["left_out"] == {"item without a known value": 1}
    after = Bundle.load(shop.bundle.resolve())
    cosines = before.item_vectors @ after.item_vectors[-1]
    cosines /= np.linalg.norm(before.item_vectors, axis=1)
    groups = np.array([int(item[1:]) % 4 for item in before.items.ids])
    assert cosines[groups == 1].mean() > max(cosines[groups == other].mean() for other in (0, 2, 3))
    again = json.loads(
        call("add-items", shop.path, "--items", tmp_path / "new.parquet", "--json").out
    )
    assert again["added"] == 0 and again["left_out"]["item already there"] == 1


def test_texts_are_a_stage_only_where_asked_for(
    shop: RunFolder, world: Path, settings: Settings
) -> None:
    assert "contents" not in [stage.name for stage in plan(settings(world))]
    assert (shop.path / CONTENTS / "0.parquet").exists()


def test_a_column_that_is_not_there_ends_the_run(
    world: Path, settings: Settings, tmp_path: Path
) -> None:
    from recsys.core.errors import ConfigError

    config = settings(world, 'features.text=[{columns=["titel"]}]')
    with pytest.raises(ConfigError, match="'titel'"):
        run(config, tmp_path / "run", Heard(), until="contents")
