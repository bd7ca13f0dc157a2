"""From TOML and overrides to a checked configuration, or an error that names the key and the
nearest known one.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recsys.core.config.aliases import current_key, rename_old_keys
from recsys.core.config.forms import in_words, read_value, section_in, type_at, type_of_key
from recsys.core.config.paths import paths_beside, refuse_secret_paths
from recsys.core.config.run import RunConfig
from recsys.core.errors import ConfigError, nearest
from recsys.core.toml import toml_value

_OF_VALIDATORS = ("value_error", "assertion_error")


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a TOML file with `section.key=value` overrides on top.

    Paths in the file are meant from its folder, or from the working folder where they lead nowhere.
    Raises ConfigError for an unreadable file, an unknown key (with the nearest known one) or a
    wrong value.
    """
    if path is None:
        return with_overrides({}, overrides)
    raw = rename_old_keys(read_toml(path))
    paths_beside(raw, path.parent)
    return with_overrides(raw, overrides)


def with_overrides(raw: dict[str, Any], overrides: Sequence[str]) -> RunConfig:
    """A checked configuration from nested plain values, a manifest's for example, with
    `section.key=value` on top.
    """
    raw = rename_old_keys(raw)  # of the file: what `--set` says under a new name wins over them
    names: dict[str, str] = {}
    for override in overrides:
        written, text = _read_override(override)
        key = current_key(written)
        if names.setdefault(key, written) != written:
            raise ConfigError(
                f"--set {names[key]} and --set {written} set one key under two names",
                f"Leave one out; the present name is {key}",
            )
        _apply(raw, key, read_value(text, type_of_key(key)))
        raw = rename_old_keys(raw)  # a table given as a whole may hold old names
    return build_config(raw)


def build_config(raw: dict[str, Any]) -> RunConfig:
    """A checked configuration from nested plain values. Raises ConfigError."""
    try:
        config = RunConfig.model_validate(rename_old_keys(raw))
    except ValidationError as error:
        raise ConfigError(*_explain(error)) from None
    refuse_secret_paths(config)
    return config


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError when it cannot be read."""
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


def _read_override(override: str) -> tuple[str, str]:
    """Dotted key and the text of its value, from `section.key=value`."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            f"--set {override!r} is not key=value", "Write for example --set train.lr=0.001"
        )
    return key.strip(), text.strip()


def _apply(raw: dict[str, Any], key: str, value: Any) -> None:
    *sections, leaf = key.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise ConfigError(f"--set {key}: {section!r} is a value, not a section")
    raw[leaf] = value


def _explain(error: ValidationError) -> tuple[str, str]:
    """Message and remedy of the first thing that is wrong."""
    first = error.errors()[0]
    location = first["loc"]
    if first["type"] == "extra_forbidden":
        return _unknown_key(location)
    key, annotation = type_at(location)
    if first["type"] == "missing":
        return f"{key} is missing", f"Give {in_words(annotation)}"
    value = toml_value(first["input"])
    if first["type"] in _OF_VALIDATORS:
        return f"{key} = {value}: {first['msg']}", "See docs/configuration.md"
    form = in_words(annotation)
    remedy = "See docs/configuration.md for its meaning"
    if not isinstance(first["input"], str) and form.startswith("text"):
        remedy = f'Write it in quotes: "{value}"'
    return f"{key} = {value}: wanted {form}", remedy


def _unknown_key(location: tuple[int | str, ...]) -> tuple[str, str]:
    where = ".".join(str(name) for name in location)
    _, annotation = type_at(location[:-1])
    section = section_in(annotation) or RunConfig
    known = sorted(section.model_fields)
    hint = nearest(str(location[-1]), known, count=1)
    return f"unknown configuration key {where!r}", hint or f"Known keys there: {', '.join(known)}"
