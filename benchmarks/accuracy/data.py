"""The logs that accuracy is measured on, and how each is split."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from recsys.core.artefacts import file_sha256
from recsys.core.config import RunConfig, build_config
from recsys.core.tables import TIME
from recsys.logs.ingest import CodedLog, ingest, ingest_split, load_log
from recsys.logs.split import Splits, split_log

Sections = Mapping[str, Mapping[str, Any]]

_PUBLISHED_FILES = {"train": "train.parquet", "test": "test.parquet"}
_ONE_FILE = {"log": "interactions.parquet"}
_TWENTY_DECIDES = {"train": {"metric_k": 20}, "evaluate": {"ks": [20, 10]}}
_LAST_FIFTH = {"split": {"method": "last_share", "test_share": 0.2}}
_RANDOM_FIFTH = {"split": {"method": "random", "test_share": 0.2}}

SETS: dict[str, Sections] = {
    # LightGCN's published split, which papers compare at 20.
    "gowalla": {"data": _PUBLISHED_FILES, "split": {"method": "given"}} | _TWENTY_DECIDES,
    "yelp2018": {"data": _PUBLISHED_FILES, "split": {"method": "given"}} | _TWENTY_DECIDES,
    "ml-100k": {"data": _ONE_FILE} | _LAST_FIFTH,
    "ml-latest-small-2016": {"data": _ONE_FILE} | _LAST_FIFTH,
    "ml-1m": {"data": _ONE_FILE} | _RANDOM_FIFTH,
    "lastfm-hetrec": {"data": _ONE_FILE} | _RANDOM_FIFTH,
    "citeulike-a": {"data": _ONE_FILE} | _RANDOM_FIFTH,
    "yelp-hin": {"data": _ONE_FILE} | _RANDOM_FIFTH,
    "amazon-hin": {"data": _ONE_FILE} | _RANDOM_FIFTH,
    "filmtrust": {"data": _ONE_FILE} | _RANDOM_FIFTH,
    "tmall-mbcgcn": {
        "data": _PUBLISHED_FILES,
        "split": {"method": "given"},
        "graph": {"target": "buy"},
    },
    "ml-1m-temporal": {
        "data": _PUBLISHED_FILES | {"validation": "val.parquet"},
        "split": {"method": "given"},
    },
    "online-retail": {
        "data": _ONE_FILE,
        "clean": {"min_user_interactions": 3, "min_item_interactions": 3},
        "split": {"method": "global_time"},
        "graph": {"target": "buy", "behavior_weights": {"cancel": 0.0}},
    },
}
WITHOUT_TIMES = ("ml-1m",)
"""Sets of which only some rows have a time: ingest would drop the others, so the column is not
read.
"""
TIME_ORDERED = ("ml-1m-temporal", "online-retail")


def merged(*layers: Sections) -> dict[str, dict[str, Any]]:
    """Sections of configurations, the later ones on top, key by key."""
    found: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for section, values in layer.items():
            found[section] = found.get(section, {}) | dict(values)
    return found


def configuration(name: str, folder: Path, changes: Sections) -> RunConfig:
    """The run configuration of a set in `folder`/<name>, with `changes` on top of the set's own."""
    raw = merged(SETS[name], changes)
    raw["data"] = {key: str(folder / name / file) for key, file in raw["data"].items()}
    return build_config(raw)


def load(config: RunConfig, cache: Path) -> tuple[CodedLog, Splits]:
    """The ingested log, kept in `cache` (a folder named like the set), and its splits.

    Splits are those of seed 0 always: seeds vary the training alone.
    """
    with locked(cache):
        if not (cache / "log" / "ingest.json").exists():
            _ingest(
                _without_times(config, cache) if cache.name in WITHOUT_TIMES else config,
                cache / "log",
            )
    log = load_log(cache / "log")
    return log, split_log(log, config.split, config.graph.target or log.behaviors[0], 0)


def checksums(config: RunConfig) -> dict[str, str]:
    """sha256 of every file read."""
    found = [config.data.log, config.data.train, config.data.validation, config.data.test]
    return {Path(str(one)).name: file_sha256(Path(str(one))) for one in found if one}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time in `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _without_times(config: RunConfig, cache: Path) -> RunConfig:
    """The same with a log that has no times, written beside the ingested one."""
    copy = cache / "interactions.parquet"
    pl.read_parquet(str(config.data.log)).drop(TIME).write_parquet(copy)
    return config.model_copy(update={"data": config.data.model_copy(update={"log": str(copy)})})


def _ingest(config: RunConfig, out: Path) -> None:
    if config.data.log:
        ingest(config.data.log, config.data, config.clean, out)
        return
    files = {
        "train": config.data.train,
        "validation": config.data.validation,
        "test": config.data.test,
    }
    ingest_split(
        {split: file for split, file in files.items() if file}, config.data, config.clean, out
    )
