from pathlib import Path

import pytest

from pipelines.fingerprint import content_or_none, mark_of, reached_modules
from recsys.scores import terms


def test_reached_modules_follow_imports_to_the_end() -> None:
    reached = reached_modules("recsys.core.interactions")
    assert {
        "recsys.core.interactions",
        "recsys.core.ids",
        "recsys.core.tables",
        "recsys.core.errors",
    } <= reached
    assert "recsys.core.config" not in reached


def test_imports_inside_functions_count() -> None:
    assert "recsys.closed_form.ials" in reached_modules("recsys.baselines.catalogue")
    assert "pipelines.doctor" in reached_modules("pipelines.commands.check")


def test_every_term_of_scores_counts_though_no_import_names_it() -> None:
    reached = reached_modules("pipelines.stages.blend")
    folder = Path(terms.__file__).parent
    names = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert {"item_item", "low_pass", "trend"} < names
    assert {f"recsys.scores.terms.{name}" for name in names} <= reached


def test_mark_changes_with_each_part() -> None:
    config = {"seed": 1, "train": {"lr": 0.1, "epochs": 3}}
    base = mark_of("recsys.core.ids", ("seed", "train.lr"), config, {"in": "a"}, "")
    assert (
        base.sha256
        == mark_of("recsys.core.ids", ("seed", "train.lr"), config, {"in": "a"}, "").sha256
    )
    others = [
        mark_of("recsys.core.tables", ("seed", "train.lr"), config, {"in": "a"}, ""),
        mark_of("recsys.core.ids", ("seed",), config, {"in": "a"}, ""),
        mark_of("recsys.core.ids", ("seed", "train.lr"), {**config, "seed": 2}, {"in": "a"}, ""),
        mark_of("recsys.core.ids", ("seed", "train.lr"), config, {"in": "b"}, ""),
        mark_of("recsys.core.ids", ("seed", "train.lr"), config, {"in": "a"}, "bucket"),
    ]
    assert len({base.sha256, *(other.sha256 for other in others)}) == 6


def test_contents_of_files_folders_and_globs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        Path(name).write_text(name, encoding="utf-8")
    assert content_or_none("a.csv") != content_or_none("b.csv")
    globbed = content_or_none("*.csv")
    assert globbed == content_or_none(str(tmp_path / "*.csv"))
    Path("b.csv").write_text("changed", encoding="utf-8")
    assert content_or_none("*.csv") != globbed
    assert content_or_none(f"file://{tmp_path}/b.csv") == content_or_none("b.csv")
    assert content_or_none("https://shop.example/log.parquet") is None
