"""The logs that accuracy is measured on, in the same splits as the run configurations."""

from pathlib import Path

from recsys.core.artefacts import file_sha256
from recsys.core.config import RunConfig, build_config
from recsys.logs.ingest import CodedLog, ingest, ingest_split, load_log
from recsys.logs.split import Splits, split_log

_PUBLISHED = {"split": {"method": "given"}, "train": {"metric_k": 20}, "evaluate": {"ks": [20, 10]}}
_LAST_FIFTH = {"split": {"method": "last_share", "test_share": 0.2}}
_TIMED = {"rating_col": "rating", "time_col": "timestamp"}

SETS: dict[str, tuple[dict[str, str], dict[str, object]]] = {
    "gowalla": ({"train": "train.parquet", "test": "test.parquet"}, _PUBLISHED),
    "yelp2018": ({"train": "train.parquet", "test": "test.parquet"}, _PUBLISHED),
    "ml-100k": ({"log": "interactions.parquet"} | _TIMED, _LAST_FIFTH),
    "ml-latest-small-2016": ({"log": "interactions.parquet"} | _TIMED, _LAST_FIFTH),
    "ml-1m-temporal": (
        {"train": "train.parquet", "validation": "val.parquet", "test": "test.parquet", "time_col": "timestamp"},
        {"split": {"method": "given"}},
    ),
}


def configuration(name: str, folder: Path, changes: dict[str, dict[str, object]]) -> RunConfig:
    """The run configuration of a set in `folder`/<name>, with `changes` by section on top."""
    files, sections = SETS[name]
    data = {key: str(folder / name / value) if value.endswith(".parquet") else value for key, value in files.items()}
    raw: dict[str, dict[str, object]] = {"data": dict(data), **{key: dict(value) for key, value in sections.items()}}
    for section, values in changes.items():
        raw[section] = raw.get(section, {}) | values
    return build_config(raw)


def load(config: RunConfig, cache: Path, target: str = "interaction") -> tuple[CodedLog, Splits]:
    """The ingested log, kept in `cache`, and its splits (always of seed 0: seeds vary the training alone)."""
    if not (cache / "ingest.json").exists():
        if config.data.log:
            ingest(config.data.log, config.data, config.clean, cache)
        else:
            files = {"train": config.data.train, "validation": config.data.validation, "test": config.data.test}
            sources = {split: source for split, source in files.items() if source}
            ingest_split(sources, config.data, config.clean, cache)
    log = load_log(cache)
    return log, split_log(log, config.split, target, 0)


def checksums(config: RunConfig) -> dict[str, str]:
    """sha256 of every file read."""
    found = [config.data.log, config.data.train, config.data.validation, config.data.test]
    return {Path(str(one)).name: file_sha256(Path(str(one))) for one in found if one}
