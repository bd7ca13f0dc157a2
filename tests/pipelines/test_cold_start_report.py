"""A run's report says how little-known users and cold items fare, and what relations bring."""

from pathlib import Path

import polars as pl
import pytest

from chain import Settings
from pipelines.places import WITHOUT
from pipelines.plan import plan
from pipelines.run import run
from pipelines.stages.scores import Scored
from recsys.core.artefacts import RunFolder
from recsys.evaluate.document import Report


@pytest.fixture(scope="module")
def report_folder(
    world: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The report of a run whose graph has genres, and whose item 1 nobody took before the test."""
    folder = tmp_path_factory.mktemp("late")
    log = pl.read_parquet(world / "log.parquet")
    late = log["item_id"][0]
    last = pl.col("timestamp").max() + 1
    when = pl.when(pl.col("item_id") == late).then(last).otherwise(pl.col("timestamp"))
    log.with_columns(timestamp=when).write_parquet(folder / "log.parquet")
    (folder / "items.parquet").symlink_to(world / "items.parquet")
    changes = (
        'graph.attributes=[{column="genres"}]',
        'evaluate.baselines=["popularity"]',
        "refit=false",
    )
    run(settings(folder, *changes, "evaluate.ablate_relations=true"), folder / "run")
    return RunFolder(folder / "run").path / "report"


def test_visitors_cold_items_and_relations(report_folder: Path) -> None:
    report = Report.load(report_folder / "report.json")
    assert [row.events for row in report.visitors][:4] == [0, 1, 2, 5]
    for row in report.visitors:
        assert row.low <= row.difference <= row.high and 0 <= row.visitor <= 1
    cold = report.cold_items
    assert (
        cold is not None
        and cold.items == cold.placed == 1
        and cold.users > 0
        and cold.value == cold.by_chance == 1
    )
    relations = {row.name: row for row in report.relations}
    assert set(relations) == {"interaction", "genres"}
    assert relations["genres"].worth == pytest.approx(
        report.row("model").metrics["ndcg@5"].value - relations["genres"].without
    )
    assert relations["interaction"].worth is None and relations["interaction"].mass[
        "user"
    ] == pytest.approx(1.0)


def test_the_page_shows_them(report_folder: Path) -> None:
    page = (report_folder / "report.html").read_text(encoding="utf-8")
    for heading in (
        "Cold start",
        "What each relation brings",
        "Last events known",
        "by chance 1.0000",
    ):
        assert heading in page


def test_ablations_are_stages_only_where_asked_for(world: Path, settings: Settings) -> None:
    changes = ('graph.attributes=[{column="genres"}]',)
    plain, asked = (
        settings(world, *changes, *more) for more in ((), ("evaluate.ablate_relations=true",))
    )
    assert "ablate" not in [stage.name for stage in plan(plain)]
    assert [stage.buckets for stage in plan(asked) if stage.name == "ablate"] == [("genres",)]


def test_a_feature_is_taken_away_like_any_other_part(
    world: Path, settings: Settings, tmp_path: Path
) -> None:
    """A column of numbers beside the nodes has no edge, and the model is trained without it."""
    changes = (
        'graph.attributes=[{column="genres", use="feature"}]',
        'evaluate.baselines=["popularity"]',
        "refit=false",
        "evaluate.ablate_relations=true",
    )
    run(settings(world, *changes), tmp_path / "run", until="report")
    scored = Scored.load(tmp_path / "run" / WITHOUT.format(bucket="genres"))
    assert scored.skipped is None and scored.ranked is not None
    report = Report.load(RunFolder(tmp_path / "run").path / "report" / "report.json")
    [genres] = report.relations
    assert genres.name == "genres" and genres.mass == {}
    assert genres.worth == pytest.approx(
        report.row("model").metrics["ndcg@5"].value - genres.without
    )
    page = (tmp_path / "run" / "report" / "report.html").read_text(encoding="utf-8")
    assert "What each relation brings" in page
