import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.runner import Facts, Stage, Work, run_plan
from recsys.core.artefacts import RunFolder
from recsys.core.config import RunConfig, build_config
from recsys.core.errors import UsageError
from recsys.core.tables import Drops


@dataclass
class Counted:
    """Stage functions that count their calls by stage and bucket."""

    calls: list[str] = field(default_factory=list)

    def count_words(self, work: Work) -> Facts:
        self.calls.append("count")
        words = Path("words.txt").read_text(encoding="utf-8").split()
        (work.out / "count.txt").write_text(str(len(words)), encoding="utf-8")
        return Facts(rows_in=len(words), rows_out=len(words), drops=Drops({"empty": 0}))

    def add_seed(self, work: Work) -> Facts:
        self.calls.append(f"add {work.bucket}")
        count = int((work.read("count") / "count.txt").read_text(encoding="utf-8"))
        (work.out / "sum.txt").write_text(str(count + work.config.seed), encoding="utf-8")
        return Facts()

    def plan(self) -> list[Stage]:
        return [
            Stage("count", self.count_words, "count", files=("words.txt",)),
            Stage("add", self.add_seed, "sum/{bucket}", ("count",), ("seed",), buckets=("a", "b")),
        ]


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("one two three", encoding="utf-8")
    return Counted()


def go(counted: Counted, config: RunConfig | None = None, **how: object) -> list[str]:
    """Run the plan; the calls it made."""
    before = len(counted.calls)
    run_plan(counted.plan(), config or RunConfig(), RunFolder(Path("run")), **how)
    return counted.calls[before:]


def test_every_bucket_leaves_its_output(counted: Counted) -> None:
    assert go(counted, build_config({"seed": 4})) == ["count", "add a", "add b"]
    assert [Path(f"run/sum/{bucket}/sum.txt").read_text(encoding="utf-8") for bucket in "ab"] == [
        "7",
        "7",
    ]


def test_unchanged_stages_are_skipped(counted: Counted) -> None:
    go(counted)
    assert go(counted) == []


def test_a_changed_key_runs_only_the_stages_that_read_it(counted: Counted) -> None:
    go(counted)
    assert go(counted, build_config({"seed": 1})) == ["add a", "add b"]
    assert go(counted, build_config({"seed": 1, "train": {"lr": 0.5}})) == []


def test_a_changed_file_runs_what_depends_on_its_contents(counted: Counted) -> None:
    go(counted)
    Path("words.txt").write_text("three other words", encoding="utf-8")
    assert go(counted) == ["count"], "the count is the same, so what reads it is unchanged"
    Path("words.txt").write_text("two words", encoding="utf-8")
    assert go(counted) == ["count", "add a", "add b"]


def test_an_altered_or_missing_output_is_made_again(counted: Counted) -> None:
    go(counted)
    Path("run/sum/a/sum.txt").write_text("forged", encoding="utf-8")
    assert go(counted) == ["add a"]
    Path("run/sum/b/sum.txt").unlink()
    assert go(counted) == ["add b"]


def test_changed_sources_run_the_stage_again(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(counted)
    monkeypatch.setattr("pipelines.fingerprint.sources_sha256", lambda module: "other")
    assert go(counted) == ["count", "add a", "add b"]


def test_fresh_runs_everything(counted: Counted) -> None:
    go(counted)
    assert go(counted, fresh=True) == ["count", "add a", "add b"]


def test_until_stops_early_and_keeps_what_later_stages_did(counted: Counted) -> None:
    assert go(counted, until="count") == ["count"]
    assert go(counted) == ["add a", "add b"]
    assert go(counted, until="count") == []
    assert go(counted) == []


def test_since_takes_earlier_outputs_as_they_are(counted: Counted) -> None:
    go(counted)
    Path("words.txt").unlink()
    assert go(counted, build_config({"seed": 1}), since="add") == ["add a", "add b"]
    assert RunFolder(Path("run")).read_manifest()["status"] == "done"


def test_a_part_that_changed_something_leaves_the_run_partial(counted: Counted) -> None:
    go(counted)
    Path("words.txt").write_text("two words", encoding="utf-8")
    go(counted, until="count")
    assert RunFolder(Path("run")).read_manifest()["status"] == "partial"


def test_a_dying_stage_leaves_nothing_and_runs_again(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Counted, work: Work) -> Facts:
        (work.out / "half.txt").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Counted, "add_seed", die)
        with pytest.raises(KeyboardInterrupt):
            go(counted)
    assert not Path("run/sum/a").exists()
    assert [path.name for path in Path("run/sum").iterdir()] == []
    assert go(counted) == ["add a", "add b"]


def test_the_resume_folder_outlives_a_dying_stage_until_its_fingerprint_changes(
    counted: Counted,
) -> None:
    seen: list[str] = []

    def train(work: Work) -> Facts:
        work.resume.mkdir(parents=True, exist_ok=True)
        seen.append(",".join(path.name for path in work.resume.iterdir()))
        (work.resume / f"epoch-{len(seen)}").touch()
        if len(seen) < 4:
            raise KeyboardInterrupt
        return Facts()

    def attempt(seed: int) -> None:
        stage = Stage("train", train, "trained", config=("seed",))
        run_plan([stage], build_config({"seed": seed}), RunFolder(Path("run")))

    for seed in (0, 0, 1):
        with pytest.raises(KeyboardInterrupt):
            attempt(seed)
    attempt(1)
    assert seen == ["", "epoch-1", "", "epoch-3"]
    assert not list(Path("run/checkpoint/resume").iterdir())


def test_manifest_tells_all(counted: Counted) -> None:
    go(counted, build_config({"seed": 4}))
    manifest = json.loads(Path("run/manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "done"
    assert manifest["seed"] == 4 and manifest["config"]["train"]["lr"]
    count = manifest["stages"]["count"]
    assert (count["rows_in"], count["rows_out"], count["drops"]) == (3, 3, {"empty": 0})
    assert count["seconds"] >= 0 and count["peak_memory_bytes"] > 1 << 20
    assert set(manifest["stages"]["add[a]"]["inputs"]) == {"count"}
    assert manifest["stages"]["add[a]"]["inputs"]["count"] == count["outputs"]["count"]


def test_a_second_run_on_the_folder_is_refused_with_the_pid(counted: Counted) -> None:
    import os

    with RunFolder(Path("run")).locked(), pytest.raises(UsageError, match=str(os.getpid())):
        go(counted)


def test_a_file_of_the_web_cannot_be_known_to_be_unchanged(tmp_path: Path) -> None:
    calls: list[int] = []

    def read(work: Work) -> Facts:
        calls.append(1)
        return Facts()

    for _ in range(2):
        run_plan(
            [Stage("read", read, "out", files=("https://shop.example/log.csv",))],
            RunConfig(),
            RunFolder(tmp_path / "run"),
        )
    assert len(calls) == 2
