from pathlib import Path

import pytest

from chain import Call, Settings
from pipelines import demo
from recsys.core.artefacts import RunFolder
from recsys.core.config import load_config

PIPELINES = Path(demo.__file__).parent
FAST = [
    "train.epochs=1",
    "model.width=8",
    "model.heads=2",
    "evaluate.bootstrap=100",
    "evaluate.baselines=['popularity']",
]
SETS = [part for one in FAST for part in ("--set", one)]


def test_outside_a_checkout_the_demo_runs_on_a_world_of_its_own(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_CHECKOUT", tmp_path)
    called = call("demo", "--out", "runs/demo", "--threads", "1", *SETS)
    assert called.code == 0, called.err
    assert (
        "Models on the test" in called.out
        and "with reasons" in called.out
        and "Item number" in called.out
    )
    assert "not time-safe" in called.out
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    again = call("demo", "--out", "runs/demo", "--threads", "1", "--json", *SETS)
    assert '"ran": []' in again.out


def test_in_a_checkout_it_takes_the_bundled_films() -> None:
    config = demo.demo_config(Path("unused"))
    assert config.data.log and str(config.data.log).endswith("ratings.parquet")
    assert (config.split.method, config.split.test_share) == ("last_share", 0.2)


@pytest.mark.parametrize("file", sorted(PIPELINES.glob("*.toml")), ids=lambda file: file.stem)
def test_every_configuration_is_valid(file: Path) -> None:
    config = load_config(file)
    assert config.name == file.stem
    assert config.data.log or (config.data.train and config.data.test)


def test_the_textbook_configuration_is_what_it_says() -> None:
    model = load_config(PIPELINES / "gat.toml").model
    assert (model.family, model.layers, model.heads) == ("gat", 2, 8)


def test_an_unfinished_run_shows_what_it_has(
    call: Call, settings: Settings, world: Path, tmp_path: Path
) -> None:
    from pipelines.run import run

    run(settings(world), tmp_path / "run", until="audit")  # type: ignore[arg-type]
    assert RunFolder(tmp_path / "run").read_manifest()["status"] == "partial"
    shown = call("show", tmp_path / "run")
    assert shown.code == 0 and "audit" in shown.out
    refused = call("recommend", tmp_path / "run", "--user", "u1")
    assert refused.code == 2 and "no bundle yet" in refused.err
