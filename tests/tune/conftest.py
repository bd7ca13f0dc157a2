"""A small world split in three, and a search on it whose space is two keys."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recsys.core.config import RunConfig, build_config
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import Splits, split_log
from recsys.logs.synthetic import communities
from recsys.phases.phase import Phase
from recsys.tune.search import Search
from recsys.tune.space import given_space

RAW = {
    "name": "small",
    "threads": 1,
    "split": {"method": "last_share", "test_share": 0.2},
    "model": {"width": 8, "heads": 2, "layers": 1},
    "train": {"epochs": 4, "batch_size": 256, "negatives": 32},
    "evaluate": {"bootstrap": 200},
    "tune": {
        "startup": 3,
        "space": {
            "train.lr": {"low": 1e-3, "high": 3e-2, "log": True},
            "model.layers": {"choices": [1, 2]},
        },
    },
}


class _Poisoned:
    """Whatever is asked of the test rows is a failure of the test."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the search asked the test rows for {name}")


@pytest.fixture(scope="session")
def small_phase(tmp_path_factory: pytest.TempPathFactory) -> Phase:
    folder = tmp_path_factory.mktemp("small")
    communities(num_users=80, num_items=48, events_per_user=20, seed=3).log.write_parquet(
        folder / "log.parquet"
    )
    config = build_config(
        {**RAW, "data": {"log": str(folder / "log.parquet"), "time_col": "timestamp"}}
    )
    ingest(str(folder / "log.parquet"), config.data, config.clean, folder / "log")
    log = load_log(folder / "log")
    splits: Splits = split_log(log, config.split, "interaction", config.seed)
    return Phase("select", log, replace(splits, test=_Poisoned()), config)


@pytest.fixture
def shop_phase(tmp_path: Path) -> Phase:
    """Views before purchases; the weight of views is what a search may change."""
    world = communities(
        num_users=60, num_items=40, events_per_user=16, behaviors=("view", "buy"), seed=4
    )
    space = {"graph.behavior_weights.view": {"choices": [1.0, 0.0, 0.3]}}
    raw = {**RAW, "graph": {"target": "buy"}, "tune": {"space": space, "startup": 3}}
    config = build_config({**raw, "data": {"time_col": "timestamp"}})
    ingest(world.log, config.data, config.clean, tmp_path / "shop")
    log = load_log(tmp_path / "shop")
    return Phase("select", log, split_log(log, config.split, "buy", config.seed), config)


NewSearch = Callable[..., Search]


@pytest.fixture
def new_search(small_phase: Phase, tmp_path: Path) -> NewSearch:
    """(folder's name, configuration) → a search of the small world in that folder."""

    def made(name: str = "search", config: RunConfig | None = None) -> Search:
        phase = replace(small_phase, config=config or small_phase.config)
        return Search(phase, phase.graph, given_space(phase.config), tmp_path / name)

    return made
