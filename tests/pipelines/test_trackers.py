"""A finished run in a tracker: read back as the tracker keeps it, and a tracker that is down."""

import json
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from chain import Call, Settings
from pipelines.run import run
from recsys.core.artefacts import RunFolder, read_json
from recsys.core.errors import MachineError, UsageError


@pytest.fixture
def copy(finished: RunFolder, tmp_path: Path) -> RunFolder:
    """The finished run, to be gone on with: no stage of it has to run again."""
    shutil.copytree(finished.path, tmp_path / "tiny", symlinks=True)
    return RunFolder(tmp_path / "tiny")


def events_of(folder: Path) -> list[Any]:
    """All that TensorBoard would read, record by record: length, its checksum, data, theirs."""
    from tensorboardX.proto.event_pb2 import Event

    events = []
    for file in folder.glob("*tfevents*"):
        data, start = file.read_bytes(), 0
        while start < len(data):
            (length,) = struct.unpack("<Q", data[start : start + 8])
            events.append(Event.FromString(data[start + 12 : start + 12 + length]))
            start += 16 + length
    return events


def test_tensorboard_has_parameters_metrics_and_epochs(
    copy: RunFolder, settings: Settings, world: Path
) -> None:
    pytest.importorskip("tensorboardX")
    manifest = run(settings(world, "tracking.tracker=tensorboard"), copy.path)
    assert manifest.ran == [] and manifest.tracking is not None
    assert manifest.tracking.failed == {}
    assert manifest.tracking.logged == ["parameters", "metrics", "epochs", "files", "bundle"]
    report = read_json(copy.report / "report.json")
    wanted = {}
    for model in report["models"]:
        for name, value in model["metrics"].items():
            wanted[f"{model['name']}/{name.replace('@', '_at_')}"] = value["value"]
    values: dict[str, list[float]] = {}
    texts = {}
    for event in events_of(Path(str(manifest.tracking.where))):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                values.setdefault(value.tag, []).append(value.simple_value)
            elif value.HasField("tensor"):
                texts[value.tag.removesuffix("/text_summary")] = value.tensor.string_val[0].decode()
    for name, figure in wanted.items():
        assert values[name] == [pytest.approx(figure, abs=1e-6)]
    assert values["epochs/loss"] == [
        pytest.approx(epoch["loss"], rel=1e-5) for epoch in report["history"]
    ]
    assert values["run/processor_seconds"][0] > 0
    assert "| model.width | 8 |" in texts["parameters"]
    assert report["verdict"]["line"] in texts["report"]


def test_the_flag_of_the_command_logs_the_run(
    copy: RunFolder, settings: Settings, world: Path, tmp_path: Path, call: Call
) -> None:
    pytest.importorskip("tensorboardX")
    config = tmp_path / "tiny.toml"
    keys = settings(world).model_dump(mode="json", exclude_unset=True)
    config.write_text(tomli_w.dumps(keys), encoding="utf-8")
    flags = ["--tracker", "tensorboard", "--json", "--quiet"]
    logged = call("run", config, "--out", copy.path, *flags)
    assert logged.code == 0, logged.err
    document = json.loads(logged.out)
    assert document["ran"] == [] and document["tracking"]["tracker"] == "tensorboard"
    assert document["tracking"]["failed"] == {}
    [file] = copy.path.rglob("*tfevents*")
    assert document["tracking"]["where"] in str(file.parent)
    refused = call("run", config, "--out", copy.path, "--tracker", "tensorbored")
    assert refused.code == 2 and "tensorboard" in refused.err


def test_a_tracker_that_is_down_is_a_warning_and_the_run_is_whole(
    copy: RunFolder, world: Path, settings: Settings, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboardX")
    (tmp_path / "events").write_text("no folder")
    sets = [f"tracking.uri={tmp_path / 'events'}", "tracking.tracker=tensorboard"]
    with pytest.warns(UserWarning, match="tensorboard has not got the start of this run"):
        manifest = run(settings(world, *sets), copy.path)
    assert manifest.tracking is not None
    assert list(manifest.tracking.failed) == ["start"] and manifest.tracking.where is None
    assert copy.read_manifest()["status"] == "done" and copy.bundle.exists()


def test_a_part_that_fails_leaves_the_others(
    copy: RunFolder, settings: Settings, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("pipelines.trackers.tensorboard_tracker")

    def full(self: Any, run: Any) -> None:
        raise OSError("disk full\nsecond line")

    monkeypatch.setattr(module.TensorboardTracker, "log_files", full)
    with pytest.warns(UserWarning, match=r"the files of this run \(OSError: disk full\)"):
        manifest = run(settings(world, "tracking.tracker=tensorboard"), copy.path)
    assert manifest.tracking is not None
    assert manifest.tracking.failed == {"files": "OSError: disk full"}
    assert manifest.tracking.logged == ["parameters", "metrics", "epochs", "bundle"]


def test_what_is_wrong_is_said_before_anything_is_trained(
    settings: Settings, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delitem(sys.modules, "pipelines.trackers.wandb_tracker", raising=False)
    with pytest.raises(MachineError, match=r'pip install "recsys\[wandb\]"'):
        run(settings(world, "tracking.tracker=wandb"), tmp_path / "new")
    secret = "tracking.uri=https://me:secret@mlflow.example.com"
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        run(settings(world, "tracking.tracker=mlflow", secret), tmp_path / "new")
    assert "secret@" not in str(refused.value)
    assert not (tmp_path / "new").exists()


def test_wandb_offline(
    copy: RunFolder, settings: Settings, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    manifest = run(settings(world, "tracking.tracker=wandb"), copy.path)
    assert manifest.tracking is not None and manifest.tracking.failed == {}
    [kept] = (copy.path / "tracking").rglob("*.wandb")
    assert copy.bundle.resolve().name.encode() in kept.read_bytes()
