"""The whole chain on a few users of a log: whether a configuration works, in under a minute.

Its figures say that the chain runs, not how good the model is: it learns from few users, and for two
epochs.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.demo import typical_user
from pipelines.run import run
from pipelines.summary import document as run_document
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder
from recsys.core.config import RunConfig, load_config
from recsys.core.errors import RecsysError
from recsys.core.ids import id_column
from recsys.core.progress import QUIET
from recsys.logs.sources import open_parts
from recsys.logs.text import BROKEN, TextOptions
from recsys.lookup.lookup import Lookup

SAMPLE_ROWS = 6_000
_FEW = {
    "train": {"epochs": 2, "temperature": 0.1, "top_k": 0, "horizon": 1, "batch_size": 1024},
    "evaluate": {"baselines": ["popularity", "itemknn"], "bootstrap": 1000},
    "blend": {"low_pass_rank": 64, "neighbours": 50},
    "refit": False,
    "first": False,
    "budget_minutes": 1.0,
}
"""What a sample does without: it is there to run through, not to be good."""


def run_sample(config_file: Path, say: Callable[[str], object] | None) -> dict[str, Any]:
    """Run a configuration on all rows of some of the users, in a folder that goes away.

    Args:
        config_file: As written.
        say: Told what was found; nobody when None.

    Returns:
        Facts: users, rows, warm test users, seconds, by model the deciding metric, and a list; or
        the error of a run that could not be.
    """
    config = load_config(config_file)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="recsys-sample-") as scratch:
        sampled, facts = sampled_config(config, Path(scratch))
        try:
            run(sampled, Path(scratch) / "run", QUIET, force=True)
        except RecsysError as error:
            facts["error"] = str(error)
        else:
            facts |= _findings(RunFolder.existing(Path(scratch) / "run"))
    facts["seconds"] = round(time.perf_counter() - began, 1)
    if say is not None:
        for line in _lines(facts):
            say(line)
    return facts


def sampled_config(config: RunConfig, folder: Path) -> tuple[RunConfig, dict[str, Any]]:
    """The configuration with all rows of a few users in place of the log, and how many they are.

    folder: Where those rows are written.
    """
    files = {}
    for key in ("log", "train", "validation", "test"):
        source = getattr(config.data, key)
        if source is not None:
            files[key] = _rows(config, source)
    first = files.get("log", files.get("train"))
    if first is None:
        raise ValueError("the configuration has neither data.log nor data.train")
    users, num_rows = _some_users(first, config.data.user_col)
    raw = config.model_dump(mode="json")
    for key, rows in files.items():
        path = folder / f"{key}.parquet"
        _of(rows, config.data.user_col, users).collect(engine="streaming").write_parquet(path)
        raw["data"][key] = str(path)
    raw["data"] |= {"columns": None, "separator": None}
    for section, value in _FEW.items():
        raw[section] = raw[section] | value if isinstance(value, dict) else value
    return RunConfig.model_validate(raw), {"users": len(users), "rows": num_rows}


def _rows(config: RunConfig, source: str | list[str]) -> pl.LazyFrame:
    columns = tuple(config.data.columns) if config.data.columns else None
    options = TextOptions(config.data.separator, columns, count_broken=True)
    frames = []
    for source_file in open_parts(source, options):
        rows = source_file.frame.filter(~pl.col(BROKEN)) if source_file.text else source_file.frame
        frames.append(rows.drop(BROKEN, strict=False))
    return pl.concat(frames, how="diagonal_relaxed")


def _user_text(rows: pl.LazyFrame, user_col: str) -> pl.Expr:
    return id_column(pl.col(user_col), rows.collect_schema()[user_col], False)


def _some_users(rows: pl.LazyFrame, user_col: str) -> tuple[pl.Series, int]:
    """Users drawn with the same seed always, until their rows are enough."""
    user = _user_text(rows, user_col).alias("user")
    counts = rows.select(user).drop_nulls().group_by("user").len().collect(engine="streaming")
    counts = counts.sort("user")
    order = np.random.default_rng(0).permutation(len(counts))
    drawn = counts[order]
    total = drawn["len"].cum_sum()
    sample = drawn.filter((total <= SAMPLE_ROWS) | (pl.int_range(pl.len()) == 0))
    return sample["user"], int(sample["len"].sum())


def _of(rows: pl.LazyFrame, user_col: str, users: pl.Series) -> pl.LazyFrame:
    return rows.filter(_user_text(rows, user_col).is_in(users.implode()))


def _findings(folder: RunFolder) -> dict[str, Any]:
    report = run_document(folder)["report"]
    models = {}
    for model in report["models"]:
        if not model["skipped"]:
            models[model["title"]] = model["metrics"][report["deciding"]]["value"]
    facts = report["facts"]
    return {
        "warm_users": facts["warm_users"],
        "drops": facts["drops"],
        "metric": report["deciding"],
        "models": models,
        "list": _list(folder),
    }


def _list(folder: RunFolder) -> dict[str, Any]:
    """The list of the user whose history has the median length."""
    lookup = Lookup(Bundle.load(folder.bundle, verify=False))
    user = typical_user(lookup)
    [answer] = lookup.recommend([user], 5)
    return {"user": user, "items": [item.get("title") or item["id"] for item in answer["items"]]}


def _lines(facts: dict[str, Any]) -> list[str]:
    sample = f"{facts['users']:,} users with {facts['rows']:,} rows"
    if "error" in facts:
        return [f"A sample of {sample} could not be run: {facts['error']}"]
    models = [f"{title} {value:.4f}" for title, value in facts["models"].items()]
    listed = ", ".join(str(item) for item in facts["list"]["items"])
    return [
        f"The chain runs: a sample of {sample} took {facts['seconds']:.0f} s; "
        f"{facts['warm_users']:,} test users.",
        f"{facts['metric']} after two epochs, which says nothing of the whole log: {', '.join(models)}",
        f"For user {facts['list']['user']}: {listed}",
    ]
