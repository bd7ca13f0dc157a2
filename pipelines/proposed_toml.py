"""A proposal as a TOML file that people read: every key under its reason, every question marked."""

import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys.core.config.paths import PATH_KEYS
from recsys.core.toml import toml_value
from recsys.logs.column_roles import Choice
from recsys.logs.packed import is_remote
from recsys.logs.proposal import Proposal

MARK = "CHECK"
"""Begins the comment of everything that is not sure."""

_WIDTH = 100
_SECTIONS = ("data", "clean", "split", "graph")
_TABLES = ("graph.attributes", "graph.relations")


def proposed_toml(proposal: Proposal, folder: Path, name: str, schema: str) -> str:
    """The text of a run configuration.

    Args:
        proposal: What is proposed.
        folder: Where the file will be; paths are written from there.
        name: Of the run.
        schema: Path or address of the JSON schema, for editors.

    Returns:
        TOML that `load_config` reads.
    """
    lines = [f"#:schema {schema}", *_head(proposal), f"name = {toml_value(name)}"]
    for section in _SECTIONS:
        lines += _section(section, proposal.choices, folder)
    for key in _TABLES:
        lines += _tables(key, proposal.choices, folder)
    return "\n".join(lines) + "\n"


def _head(proposal: Proposal) -> list[str]:
    check = proposal.check
    looked_at = "" if proposal.is_whole else " (its first rows: the log is larger)"
    facts = (
        f"Proposed by recsys init from {check.rows_read:,} rows{looked_at}: {check.users:,} users, "
        f"{check.items:,} items."
    )
    lines = _comment(facts)
    if proposal.unused:
        lines += _comment(f"Columns that are not used: {', '.join(proposal.unused)}.")
    if proposal.questions:
        lines += _comment(f"Not sure of {len(proposal.questions)}: look for {MARK}.")
    return lines


def _section(section: str, choices: Sequence[Choice], folder: Path) -> list[str]:
    lines = []
    for choice in choices:
        if choice.key.startswith(f"{section}.") and choice.key not in _TABLES:
            lines += _key(choice, folder)
    return ["", f"[{section}]", *lines] if lines else []


def _key(choice: Choice, folder: Path) -> list[str]:
    """A key under its reason. One that is left out stands as a comment with what it could be."""
    name = choice.key.partition(".")[2]
    lines = _remarks(choice)
    if choice.value is not None:
        return [*lines, f"{name} = {toml_value(_from(folder, choice.key, choice.value))}"]
    for option in choice.options:
        if option is not None:
            lines.append(f"# {name} = {toml_value(option)}")
    return lines


def _tables(key: str, choices: Sequence[Choice], folder: Path) -> list[str]:
    lines = []
    for choice in choices:
        if choice.key == key and isinstance(choice.value, Mapping):
            lines += ["", *_remarks(choice), f"[[{key}]]"]
            for name, value in choice.value.items():
                lines.append(f"{name} = {toml_value(_from(folder, f'{key}.{name}', value))}")
    return lines


def _remarks(choice: Choice) -> list[str]:
    if choice.is_sure:
        return _comment(_as_sentence(choice.reason))
    lines = _comment(f"{MARK}: {_as_sentence(choice.question)}")
    if len(choice.options) > 1:
        options = [toml_value(option) for option in choice.options if option is not None]
        lines += _comment(f"Could be: {', '.join(options)}.")
    return lines + _comment(_as_sentence(choice.reason))


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False
    )


def _from(folder: Path, key: str, value: Any) -> Any:
    """A path as it leads there from the folder of the file; other values as they are."""
    if key not in PATH_KEYS:
        return value
    if isinstance(value, str):
        return _path_from(folder, value)
    return [_path_from(folder, path) for path in _listed(value)]


def _listed(value: Any) -> Iterable[str]:
    return value if isinstance(value, list | tuple) else [value]


def _path_from(folder: Path, path: str) -> str:
    if is_remote(path) or Path(path).is_absolute():
        return path
    return os.path.relpath(path, folder)
