"""Files that a configuration names: looked for beside its TOML file first, then in the working
folder.
"""

import glob
from pathlib import Path
from typing import Any

from recsys.core.addresses import is_url, refuse_secrets
from recsys.core.config.aliases import tables_at
from recsys.core.config.run import RunConfig
from recsys.core.errors import ConfigError, DataError, UsageError

PATH_KEYS = (
    "data.log",
    "data.query_file",
    "data.database",
    "data.train",
    "data.validation",
    "data.test",
    "data.items",
    "data.users",
    "data.availability",
    "data.suppressed",
    "features.text.table",
    "features.text.folder",
    "features.image.table",
    "features.image.folder",
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


def refuse_secret_paths(config: RunConfig) -> None:
    """Raises ConfigError for a URL that carries a password, a key or a signature: the configuration
    of a run is written to its manifest and report.
    """
    values = config.model_dump()
    for path in [*_paths(values), config.out or ""]:
        try:
            refuse_secrets(path)
        except UsageError as error:
            raise ConfigError(error.message, error.remedy) from None


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
    if not isinstance(path, str) or is_url(path) or Path(path).is_absolute():
        return path
    there = folder / path
    if there.exists():
        return str(there)
    pattern = str(Path(glob.escape(str(folder))) / path)
    return pattern if glob.glob(pattern, recursive=True) else path  # noqa: PTH207


def _is_there(path: str) -> bool:
    if is_url(path) or Path(path).exists():
        return True
    return bool(glob.glob(path, recursive=True))  # noqa: PTH207
