"""From TOML and overrides to a checked configuration, or an error that names the key and the
nearest known one.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from recsys.core.config.aliases import current_key, rename_old_keys
from recsys.core.config.run import RunConfig
from recsys.core.errors import ConfigError, nearest


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a TOML file with `section.key=value` overrides on top.

    Raises ConfigError for an unreadable file, an unknown key (with the nearest known one) or a
    wrong value.
    """
    return with_overrides(_read_toml(path) if path else {}, overrides)


def with_overrides(raw: dict[str, Any], overrides: Sequence[str]) -> RunConfig:
    """A checked configuration from nested plain values, a manifest's for example, with
    `section.key=value` on top.
    """
    raw = rename_old_keys(raw)  # of the file: what `--set` says under a new name wins over them
    names: dict[str, str] = {}
    for override in overrides:
        given, value = _read_override(override)
        key = current_key(given)
        if names.setdefault(key, given) != given:
            raise ConfigError(
                f"--set {names[key]} and --set {given} set one key under two names",
                f"Leave one out; the present name is {key}",
            )
        _apply(raw, key, value)
        raw = rename_old_keys(raw)  # a table given as a whole may hold old names
    return build_config(raw)


def build_config(raw: dict[str, Any]) -> RunConfig:
    """A checked configuration from nested plain values. Raises ConfigError."""
    try:
        return RunConfig.model_validate(rename_old_keys(raw))
    except ValidationError as error:
        raise ConfigError(*_explain(error)) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration {str(path)!r}: {error.strerror}",
            "Give the path of a .toml file",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        remedy = (
            "Mend that line"
            if path.suffix == ".toml"
            else "Give a .toml file here, and a log with --log"
        )
        raise ConfigError(f"{path} is not valid TOML: {error}", remedy) from None


def _read_override(override: str) -> tuple[str, Any]:
    """Dotted key and value of `section.key=value`."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            f"--set {override!r} is not key=value", "Write for example --set train.lr=0.001"
        )
    return key.strip(), _value(text.strip())


def _apply(raw: dict[str, Any], key: str, value: Any) -> None:
    *sections, leaf = key.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise ConfigError(f"--set {key}: {section!r} is a value, not a section")
    raw[leaf] = value


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError) -> tuple[str, str]:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_beside(first["loc"])
        hint = nearest(str(first["loc"][-1]), known, count=1)
        return (
            f"unknown configuration key {where!r}",
            hint or f"Known keys there: {', '.join(sorted(known))}",
        )
    return (
        f"{where} = {first['input']!r}: {first['msg']}",
        "See docs/configuration.md for its meaning and range",
    )


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = RunConfig
    for part in location[:-1]:
        field = section.model_fields.get(str(part))
        section = _section_in(field.annotation) or section if field else section
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field is, or is a list or table of."""
    found = [
        one
        for one in (annotation, *get_args(annotation))
        if isinstance(one, type) and issubclass(one, BaseModel)
    ]
    return found[0] if found else None
