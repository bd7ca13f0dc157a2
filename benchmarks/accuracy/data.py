"""The logs that accuracy is measured on, and how each is split."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.accuracy import prepared
from recsys.core.artefacts import file_sha256
from recsys.core.config import RunConfig, build_config
from recsys.logs.ingest import CodedLog, ingest, ingest_split, load_log
from recsys.logs.split import Splits, split_log

Sections = Mapping[str, Mapping[str, Any]]

_PUBLISHED_FILES = {"train": "train.parquet", "test": "test.parquet"}
_ONE_FILE = {"log": "interactions.parquet"}
_TWENTY_DECIDES = {"train": {"metric_k": 20}, "evaluate": {"ks": [20, 10]}}
_LAST_FIFTH = {"split": {"method": "last_share", "test_share": 0.2}}
_RANDOM_FIFTH = {"split": {"method": "random", "test_share": 0.2}}
_POSITION = {"time_col": "position", "time_unit": "order"}
_FILES = ("log", "train", "validation", "test")

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
    # Published with every choice made on a tenth of train.
    "gowalla-iid": {"data": _PUBLISHED_FILES, "split": {"method": "given"}} | _TWENTY_DECIDES,
    "electronics-iid": {"data": _PUBLISHED_FILES, "split": {"method": "given"}} | _TWENTY_DECIDES,
    # The split of the authors of TopKGAT.
    "ali-display": {
        "data": _PUBLISHED_FILES | {"validation": "validation.parquet"},
        "split": {"method": "given"},
    }
    | _TWENTY_DECIDES,
    # The last item of each user, as papers on sequences split it.
    "amazon-beauty-seq": {
        "data": _ONE_FILE | _POSITION,
        "split": {"method": "leave_last"},
    },
    # LightGCN's split of Gowalla with the order of its train file.
    "gowalla-order": {
        "data": _PUBLISHED_FILES | _POSITION,
        "split": {"method": "given"},
    }
    | _TWENTY_DECIDES,
    # Drawn from a known truth; only speed is measured on them.
    "planted-1m": {"data": {}},
    "planted-5m": {"data": {}},
}
FOLDERS = {"gowalla-order": "gowalla"}
"""Where the files of a set are, if not in a folder of its own name."""
PREPARED = {
    "ml-1m": prepared.without_times,
    "gowalla-order": prepared.in_order,
    "planted-1m": prepared.planted,
    "planted-5m": prepared.planted,
}
"""Sets whose files are not read as they are: what makes others of them in the cache."""
SIDE_FILES = {"gowalla-order": prepared.ORDER_FILE}
"""A file beside the train file that a set is made from too."""
ARENAS_ONLY = (
    "gowalla-iid",
    "electronics-iid",
    "ali-display",
    "amazon-beauty-seq",
    "gowalla-order",
)
"""Sets that the page shows among the arenas alone."""
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
    place = folder / FOLDERS.get(name, name)
    for key in _FILES:
        if key in raw["data"]:
            raw["data"][key] = str(place / raw["data"][key])
    return build_config(raw)


def load(config: RunConfig, cache: Path) -> tuple[CodedLog, Splits]:
    """The ingested log, kept in `cache` (a folder named like the set), and its splits.

    Splits are those of seed 0 always: seeds vary the training alone.
    """
    with locked(cache):
        if not (cache / "log" / "ingest.json").exists():
            prepare = PREPARED.get(cache.name)
            _ingest(prepare(config, cache) if prepare else config, cache / "log")
    log = load_log(cache / "log")
    return log, split_log(log, config.split, config.graph.target or log.behaviors[0], 0)


def checksums(dataset: str, config: RunConfig) -> dict[str, str]:
    """sha256 of every file that a set is made from, by name."""
    data = config.data
    paths = [Path(str(file)) for file in (data.log, data.train, data.validation, data.test) if file]
    if dataset in SIDE_FILES:
        paths.append(paths[0].with_name(SIDE_FILES[dataset]))
    return {path.name: file_sha256(path) for path in paths}


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
