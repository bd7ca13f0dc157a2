"""Makes tests/pipelines/old_run: what a run of format 1 leaves for reading. Run it only when a new
format is added.

python tests/pipelines/make_old_run.py tests/pipelines/old_run
"""

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

from pipelines.run import run
from recsys.core.config import build_config
from recsys.logs.synthetic import communities

KEPT = ("manifest.json", "report/report.json", "bundles", "bundle")


def main(out: Path) -> None:
    world = communities(num_users=24, num_items=16, num_communities=2, events_per_user=8, seed=1)
    out = out.absolute()
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        world.log.write_parquet("log.parquet")
        world.items.write_parquet("items.parquet")
        raw = {
            "name": "old",
            "threads": 1,
            "data": {
                "log": "log.parquet",
                "items": "items.parquet",
                "time_col": "timestamp",
            },
            "split": {"method": "last_share", "test_share": 0.2},
            "graph": {"attributes": [{"column": "genres"}]},
            "model": {"width": 8, "heads": 2},
            "train": {"epochs": 2, "batch_size": 64, "negatives": 8},
            "evaluate": {"ks": [3], "bootstrap": 100, "baselines": ["popularity", "lightgcn"]},
            "index": {"k": 3},
        }
        run(build_config(raw), Path("run"))
        for name in KEPT:
            _copy(Path("run") / name, out / name)


def _copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, to)
    else:
        shutil.copy2(source, to, follow_symlinks=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
