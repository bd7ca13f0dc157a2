"""The training on the whole log goes on from the tested model, for the last of the chosen epochs."""

from pathlib import Path

import pytest

from chain import Heard, Settings
from pipelines.run import run
from recsys.core.artefacts import RunFolder, read_json
from recsys.logs.synthetic import communities
from recsys.recommender import GraphRecommender

_WANTED = ("train.epochs=4", "train.patience=9", "evaluate.baselines=['popularity']")


def _chosen(folder: Path) -> int:
    epochs: int = read_json(folder / "checkpoint/select/model/training.json")["epochs"]
    return epochs


def _epochs_of(folder: Path, phase: str) -> list[int]:
    stages = RunFolder(folder).read_manifest()["stages"]
    history = stages[f"train-{phase}[model]"]["figures"]["history"]
    return [record["epoch"] for record in history]


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_the_training_on_the_whole_log_takes_its_first_epochs_from_the_tested_model(
    settings: Settings, world: Path, tmp_path: Path, share: float
) -> None:
    heard = Heard()
    run(settings(world, *_WANTED, f"train.refit_share={share}"), tmp_path, heard)
    chosen = _chosen(tmp_path)
    assert _epochs_of(tmp_path, "select") == [1, 2, 3, 4]
    all_chosen = list(range(1, chosen + 1))
    assert _epochs_of(tmp_path, "final") == all_chosen
    assert _epochs_of(tmp_path, "serve") == (all_chosen if share == 1 else [chosen])
    told = [line for line in heard.lines if "tested model's states" in line]
    expected = f"serve: the last 1 of {chosen} epochs, from the tested model's states"
    assert told == ([] if share == 1 or chosen == 1 else [expected])


def test_a_recommender_of_frames_goes_on_from_its_first_training() -> None:
    log = communities(num_users=60, num_items=40, events_per_user=12, seed=4).log
    heard = Heard()
    recommender = GraphRecommender(
        width=8, heads=2, epochs=4, patience=9, refit_share=0.25, threads=1
    )
    recommender.fit(log, progress=heard)
    epochs = [line.split(":")[0] for line in heard.lines if line.startswith("epoch ")]
    assert epochs[:4] == ["epoch 1/4", "epoch 2/4", "epoch 3/4", "epoch 4/4"]
    [last] = epochs[4:]
    number, of = last.removeprefix("epoch ").split("/")
    assert number == of
