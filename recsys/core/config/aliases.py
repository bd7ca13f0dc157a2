"""Old names of configuration keys, which go on working for one version, with a warning.

A key that is renamed gets one entry in ALIASES and is mended nowhere else: files, `--set`,
`tune.space`, configurations stored in run folders and saved recommenders are all read through here.
"""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from recsys.core.errors import ConfigError

ALIASES = {
    "blend.met": "blend.auxiliary_behaviors",
}
"""Old dotted key → new dotted key: of a value or a whole section. A key in a list of tables is
written like any other ("graph.relations.old").
"""


def current_key(key: str) -> str:
    """The present name of a dotted key, with a warning for an old one."""
    for old, new in ALIASES.items():
        if key == old or key.startswith(f"{old}."):
            _warn(old, new)
            return new + key.removeprefix(old)
    return key


def rename_old_keys(raw: dict[str, Any]) -> dict[str, Any]:
    """A copy of a nested configuration, old keys under their present names, with a warning for each.

    Raises ConfigError when one table holds both names of a key.
    """
    renamed: dict[str, Any] = _copied(raw)
    for old, new in ALIASES.items():
        old_section, _, old_name = old.rpartition(".")
        new_section, _, new_name = new.rpartition(".")
        for table in tables_at(renamed, old_section):
            if old_name in table:
                target = table if new_section == old_section else _section(renamed, new_section)
                _require_one_name(new_name in target, old, new)
                _warn(old, new)
                target[new_name] = table.pop(old_name)
    tune = renamed.get("tune")
    if isinstance(tune, dict) and isinstance(tune.get("space"), dict):
        tune["space"] = _rename_space(tune["space"])
    return renamed


def rename_old_parameters(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name of one section's keys, old names replaced by the present ones."""
    renamed = {}
    for name, value in values.items():
        key = current_key(f"{section}.{name}")
        renamed[key.rpartition(".")[2]] = value
    return renamed


def dotted_keys(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Entries of `tune.space` by dotted key.

    `train.lr = {…}` without quotes is a table within a table in TOML; here it is the key "train.lr".
    """
    for name, value in table.items():
        if _holds_tables_only(value):
            yield from dotted_keys(value, f"{before}{name}.")
        else:
            yield before + name, value


def _rename_space(space: Mapping[str, Any]) -> dict[str, Any]:
    entries = dict(dotted_keys(space))
    renamed: dict[str, Any] = {}
    for key, values in entries.items():
        new_key = current_key(key)
        both = new_key != key and new_key in entries
        _require_one_name(both, f"tune.space.{key}", f"tune.space.{new_key}")
        renamed[new_key] = values
    return renamed


def _holds_tables_only(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(inner, dict) for inner in value.values())


def tables_at(value: Any, section: str) -> list[dict[str, Any]]:
    """The tables at a dotted path, those in lists one by one."""
    if isinstance(value, list):
        tables = []
        for element in value:
            tables += tables_at(element, section)
        return tables
    if not isinstance(value, dict):
        return []
    if not section:
        return [value]
    first, _, rest = section.partition(".")
    return tables_at(value.get(first), rest)


def _section(raw: dict[str, Any], section: str) -> dict[str, Any]:
    """The table at a dotted path, made where it is absent."""
    for name in section.split("."):
        raw = raw.setdefault(name, {})
    return raw


def _copied(value: Any) -> Any:
    """Tables and lists anew, so that the caller's stay as they are."""
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copied(element) for element in value]
    return value


def _require_one_name(both: bool, old: str, new: str) -> None:
    if both:
        raise ConfigError(
            f"{old} and {new} are both given, and are one key under two names",
            f"Leave {old} out: it is the old name",
        )


def _warn(old: str, new: str) -> None:
    message = f"the configuration key {old} is now called {new}: write {new} instead"
    warnings.warn(message, FutureWarning, stacklevel=2)
