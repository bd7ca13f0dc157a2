"""Files that a configuration names: looked for beside its TOML file first, then in the working
folder.
"""

import glob
from pathlib import Path
from typing import Any

from recsys.core.config.aliases import tables_at
from recsys.core.config.run import RunConfig
from recsys.core.errors import DataError

PATH_KEYS = (
    "data.log",
    "data.train",
    "data.validation",
    "data.test",
    "data.items",
    "data.users",
    "data.availability",
    "data.suppressed",
    "graph.relations.file",
    "graph.knowledge.file",
    "graph.knowledge.links",
    "train.warm_start",
)
"""What is read. `out`, which is written, is always meant from the working folder."""


def paths_beside(raw: dict[str, Any], folder: Path) -> None:
    """Make relative paths of the tables `raw` of a file in `folder` lead there, where they do.

    What is not in `folder` stays as written, and so is meant from the working folder.
    """
    for key in PATH_KEYS:
        section, _, name = key.rpartition(".")
        for table in tables_at(raw, section):
            value = table.get(name)
            if isinstance(value, str):
                table[name] = _beside(value, folder)
            elif isinstance(value, list):
                table[name] = [_beside(path, folder) for path in value]


def require_files(config: RunConfig, folder: Path, raw: dict[str, Any]) -> None:
    """Raises DataError for a file of the TOML tables `raw` that is in neither place.

    config: with `--set` and flags, which may have replaced the paths of `raw`.
    """
    wanted = _paths(config.model_dump())
    for path in _paths(raw):
        if path in wanted and not _is_there(path):
            raise DataError(
                f"there is no file {path!r}: looked in {folder.resolve()} and in {Path.cwd()}",
                "Write paths from the folder of the TOML file, or in full",
            )


def _paths(raw: dict[str, Any]) -> list[str]:
    paths: list[Any] = []
    for key in PATH_KEYS:
        section, _, name = key.rpartition(".")
        for table in tables_at(raw, section):
            value = table.get(name)
            paths += value if isinstance(value, list) else [value]
    return [path for path in paths if isinstance(path, str)]


def _beside(path: Any, folder: Path) -> Any:
    if not isinstance(path, str) or _is_remote(path) or Path(path).is_absolute():
        return path
    there = folder / path
    if there.exists():
        return str(there)
    pattern = str(Path(glob.escape(str(folder))) / path)
    return pattern if glob.glob(pattern, recursive=True) else path  # noqa: PTH207


def _is_there(path: str) -> bool:
    if _is_remote(path) or Path(path).exists():
        return True
    return bool(glob.glob(path, recursive=True))  # noqa: PTH207


def _is_remote(path: str) -> bool:
    return "://" in path
