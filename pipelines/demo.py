"""The demonstration: the bundled films in a checkout, a synthetic world elsewhere."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl

import pipelines
from recsys.core.artefacts import atomic_file
from recsys.core.config import RunConfig, build_config, load_config
from recsys.lookup.lookup import Lookup

_CHECKOUT = Path(pipelines.__file__).parent.parent
_FILMS = Path("data/movielens-small/ratings.parquet")
_TITLES = Path("data/movielens-small/movies.parquet")


def demo_config(out: Path) -> RunConfig:
    """What `recsys demo` runs; the synthetic world is written into the run folder."""
    if not (_CHECKOUT / _FILMS).exists():
        return _synthetic(out / "world")
    names = {"data.log": str(_shown(_FILMS)), "data.items": str(_shown(_TITLES))}
    settings = Path(str(files("pipelines") / "demo.toml"))
    return load_config(settings, [f"{key}={json.dumps(value)}" for key, value in names.items()])


def typical_user(lookup: Lookup) -> str:
    """The user whose history has the median length (the smallest id among several)."""
    lengths = np.diff(lookup.bundle.seen[lookup.bundle.target].indptr)
    by_length = np.argsort(lengths, kind="stable")
    median = by_length[len(lengths) // 2 : len(lengths) // 2 + 1]
    return lookup.bundle.users.external(median)[0]


def _shown(path: Path) -> Path:
    """Relative where that works from here, so that a run says the same on every machine."""
    return path if path.exists() else _CHECKOUT / path


def _synthetic(folder: Path) -> RunConfig:
    """Users and items in communities: good recommendations are those of one's own."""
    from recsys.logs.synthetic import communities

    world = communities(num_users=600, num_items=400, num_communities=8, events_per_user=40)
    _write(world.log, folder / "log.parquet")
    _write(world.items, folder / "items.parquet")
    return build_config(
        {
            "name": "demo",
            "data": {
                "log": str(folder / "log.parquet"),
                "items": str(folder / "items.parquet"),
                "time_col": "timestamp",
            },
            "split": {"method": "last_share", "test_share": 0.2},
        }
    )


def _write(table: pl.DataFrame, path: Path) -> None:
    with atomic_file(path) as unfinished:
        table.write_parquet(unfinished)
