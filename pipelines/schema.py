"""The JSON schema of a run configuration, by which editors complete and check a TOML file."""

import json
from pathlib import Path
from typing import Any

from recsys.core.artefacts import atomic_file
from recsys.core.config import RunConfig

SCHEMA = "recsys.schema.json"
"""Name of the file, in this package and beside a configuration that names it."""

_DIALECT = "http://json-schema.org/draft-07/schema#"


def configuration_schema() -> dict[str, Any]:
    """The schema: every key with its type, limits, default and meaning; unknown keys are errors."""
    schema = RunConfig.model_json_schema()
    return {"$schema": _DIALECT, "title": "A run of recsys", **_without(schema, "title")}


def schema_text() -> str:
    """The schema as the text of its file."""
    return json.dumps(configuration_schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def write_schema(path: Path) -> None:
    """Write it, where it is not there as it is already."""
    text = schema_text()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    with atomic_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _without(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != key}
