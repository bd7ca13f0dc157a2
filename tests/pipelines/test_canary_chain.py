"""The whole chain cannot recover random future pairs that were planted in its log."""

from pathlib import Path

import numpy as np

from chain import Settings
from pipelines.phases_on_disk import load_phase
from pipelines.places import TEST
from pipelines.run import run
from pipelines.stages.scores import Scored
from recsys.core.tables import ITEM_ID, USER_ID
from recsys.logs.canary import p_value, plant_canaries
from recsys.logs.synthetic import communities

K = 5


def test_no_model_finds_planted_pairs(settings: Settings, tmp_path: Path) -> None:
    world = communities(num_users=120, num_items=80, events_per_user=20, seed=2)
    planted = plant_canaries(world.log, 100, seed=0)
    planted.log.write_parquet(tmp_path / "log.parquet")
    world.items.write_parquet(tmp_path / "items.parquet")
    config = settings(
        tmp_path,
        "split.method=global_time",
        "split.test_share=0.2",
        "evaluate.baselines=['itemknn']",
    )
    run(config, tmp_path / "run", until="test")
    final = load_phase(tmp_path / "run", config, "final")
    pairs = {tuple(row) for row in planted.canaries.select(USER_ID, ITEM_ID).iter_rows()}
    for model in ("model", "itemknn"):
        ranked = Scored.load(tmp_path / "run" / TEST.format(bucket=model)).ranked
        assert ranked is not None
        users = np.repeat(final.interactions.users.external(final.judge.held_out_users), K)
        items = final.interactions.items.external(ranked[:, :K].ravel())
        hits = len(pairs & set(zip(users.tolist(), items, strict=True)))
        assert p_value(hits, len(pairs), planted.chance * K) > 0.001, (
            f"{model} found {hits} of {len(pairs)}"
        )
