"""`recsys tune`: what it leaves, what it goes on with, and what it refuses."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from chain import Call, Settings
from pipelines.phases_on_disk import load_phase
from pipelines.tune import tune
from recsys.core.config import RunConfig, load_config, with_overrides
from recsys.core.toml import to_toml
from recsys.tune.document import Tuning, tuning_of
from recsys.tune.search import Budget, Search
from recsys.tune.space import given_space
from recsys.tune.study import open_study

SPACE = "tune.space={'train.lr'={low=1e-3, high=3e-2, log=true}, 'graph.half_life_days'={choices=[7, 'none']}}"


@pytest.fixture(scope="module")
def config(settings: Settings, world: Path) -> RunConfig:
    return settings(world, SPACE, "tune.startup=2")


@pytest.fixture
def file(config: RunConfig, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(to_toml(config.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    return path


def document(out: Path) -> Tuning:
    return Tuning.model_validate_json((out / "tune.json").read_text(encoding="utf-8"))


def ranked(tuning: Tuning) -> list[tuple[str, float | None, dict[str, object]]]:
    """What was found, without how long it took."""
    return [(row.state, row.value, row.values) for row in tuning.trials]


def test_it_leaves_a_configuration_a_document_and_a_page(
    call: Call, file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    called = call("tune", file, "--trials", 3, "--budget-minutes", 10, "--out", out)
    assert called.code == 0, called.err
    assert "in 3 of them" in called.err and "trial 3 of 3" in called.err
    assert "1 (as given)" in called.out and str(out / "tuned.toml") in called.out
    tuning, tuned, given = document(out), load_config(out / "tuned.toml"), load_config(file)
    best = tuning.row(tuning.best)
    assert (tuned.train.lr, tuned.graph.half_life_days) == tuple(best.values.values())
    changes = {"train": given.train, "graph": given.graph}
    assert tuned.model_copy(update=changes) == given
    assert "trials" in tuning.stopped and tuning.headline in (out / "tune.html").read_text(
        encoding="utf-8"
    )
    again = call(
        "tune", file, "--trials", 3, "--budget-minutes", 10, "--out", out, "--json", "--quiet"
    )
    assert Tuning.model_validate(json.loads(again.out)) == tuning
    more = call("tune", file, "--trials", 4, "--budget-minutes", 10, "--out", out, "--quiet")
    assert (more.code, more.out) == (0, "") and ranked(document(out))[:3] == ranked(tuning)


def test_other_settings_are_another_search_and_fresh_forgets(
    call: Call, file: Path, tmp_path: Path
) -> None:
    out, rest = tmp_path / "out", ("--trials", 1, "--out", tmp_path / "out")
    assert call("tune", file, *rest).code == 0
    called = call("tune", file, *rest, "--set", "train.temperature=0.2")
    assert "a new search" in called.err and document(out).row(1).given
    assert "trial 1 of 1" not in call("tune", file, *rest).err
    assert "trial 1 of 1" in call("tune", file, *rest, "--fresh").err


def test_the_test_rows_decide_nothing(call: Call, file: Path, tmp_path: Path) -> None:
    """After the split its test rows are replaced by nonsense: same trials, same configuration."""
    honest, spoilt = tmp_path / "honest", tmp_path / "spoilt"
    for out, count in ((honest, 2), (spoilt, 1)):
        assert call("tune", file, "--trials", count, "--out", out, "--quiet").code == 0
    rows = spoilt / "interactions/split/test.parquet"
    pl.read_parquet(rows).select(pl.all().reverse()).head(3).write_parquet(rows)
    config = load_config(file)
    phase = load_phase(spoilt, config, "select")
    search = Search(phase, phase.graph, given_space(config), tmp_path / "search")
    with open_study(search.folder, config.tune) as study:
        found = tuning_of(search, study, Budget(2, 10), search.run(study, Budget(2, 10)))
    assert ranked(found) == ranked(document(honest))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--trials", 0), "--trials 0"),
        (("--budget-minutes", 0), "leaves no time"),
        (("--set", "tune.space={'train.lrr'={low=1, high=2}}"), "Did you mean 'train.lr'"),
        (("--set", "tune.space={'train.lr'={low=2, high=1}}"), "low = 2 is above high = 1"),
        (("--set", "tune.space={'train.lr'={choices=[]}}"), "tune.space.train.lr.choices"),
        (("--set", "tune.space={'train.lr'={choices=['fast']}}"), 'train.lr = "fast"'),
        (("--set", "tune.space={'data.log'={choices=['a']}}"), "may not change this key"),
        (("--set", "train.epochs=0"), "no validation to choose by"),
    ],
)
def test_bad_input_is_refused_with_code_2(
    call: Call, file: Path, tmp_path: Path, more: tuple[object, ...], told: str
) -> None:
    called = call("tune", file, "--out", tmp_path / "out", *more)
    assert called.code == 2 and told in called.err, called.err
    assert not (tmp_path / "out/tuned.toml").exists()


def started(file: Path, out: Path, *more: str) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "pipelines.cli",
        "tune",
        str(file),
        "--out",
        str(out),
    ]
    options = ["--trials", "4", "--log-json", "--set", "train.epochs=12", *more]
    return subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def undisturbed(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    longer = with_overrides(config.model_dump(mode="json", exclude_unset=True), ["train.epochs=12"])
    tune(longer, Budget(4, 20), out)
    return out


def stop_in(process: "subprocess.Popen[str]", place: str, how: signal.Signals) -> str:
    """Send the signal when a trial begins; what was said afterwards."""
    assert process.stderr
    for line in process.stderr:
        assert line.startswith("{"), line
        if json.loads(line).get("message", "").startswith(f"{place} of"):
            process.send_signal(how)
            break
    _, rest = process.communicate()
    return rest


@pytest.mark.slow
@pytest.mark.parametrize("place", ["trial 1", "trial 2", "trial 3"])
def test_killed_it_goes_on_and_finds_the_same(
    file: Path, tmp_path: Path, undisturbed: Path, place: str
) -> None:
    killed = tmp_path / "killed"
    process = started(file, killed)
    stop_in(process, place, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and not (killed / "tuned.toml").exists()
    again = started(file, killed)
    _, said = again.communicate()
    assert again.returncode == 0, said
    assert ranked(document(killed)) == ranked(document(undisturbed))
    assert document(killed).interrupted == 1
    assert (killed / "tuned.toml").read_text() == (undisturbed / "tuned.toml").read_text()
    assert not list(killed.rglob("*.tmp*")) and not list(killed.rglob("checkpoint.safetensors"))


@pytest.mark.slow
def test_ctrl_c_leaves_the_best_so_far_and_is_exit_130(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = started(file, out)
    assert "goes on from here" in stop_in(process, "trial 2", signal.SIGINT)
    assert process.returncode == 130
    assert (
        document(out).stopped == "interrupt" and load_config(out / "tuned.toml").train.epochs == 12
    )
