"""Flags that messages of the command line propose: the command must have them."""

import re
from collections.abc import Sequence
from typing import Any

import typer

from pipelines.cli import app

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
_OTHER_COMMAND = re.compile(r"recsys ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)\b([^.;\n]*)")


def require_own_flags(arguments: Sequence[str], message: str) -> None:
    """Every flag in a message is one of the command that was called, or of the command that the
    message names before it ("recsys promote RUN BUNDLE --force"), or was given by the caller.
    """
    for words, rest in _OTHER_COMMAND.findall(message):
        if command_of(words.split()) is not None:
            _require(rest, flags_of(words.split()), message)
    given = set(FLAG.findall(" ".join(arguments)))
    _require(_OTHER_COMMAND.sub("", message), flags_of(arguments) | given, message)


def _require(text: str, flags: set[str], message: str) -> None:
    for flag in FLAG.findall(text):
        assert flag in flags, f"{flag} is no flag of the command: {message}"


def command_of(words: Sequence[str]) -> Any:
    """The command that words name; None for none."""
    command = typer.main.get_command(app)
    for word in words:
        if not hasattr(command, "commands"):
            return command
        if word not in command.commands:
            return None if command.name == "recsys" else command
        command = command.commands[word]
    return command


def flags_of(words: Sequence[str]) -> set[str]:
    """Of the command that words name, and those that every command has."""
    flags = {"--help", "--debug", "--version"}
    command = command_of(words)
    for parameter in () if command is None else command.params:
        flags |= {option for option in parameter.opts if option.startswith("--")}
        flags |= {option for option in parameter.secondary_opts if option.startswith("--")}
    return flags


def all_flags() -> set[str]:
    """Of all commands together."""
    flags: set[str] = set()
    waiting = [typer.main.get_command(app)]
    while waiting:
        command = waiting.pop()
        waiting.extend(getattr(command, "commands", {}).values())
        for parameter in command.params:
            flags |= {*parameter.opts, *parameter.secondary_opts}
    return {flag for flag in flags if flag.startswith("--")} | {"--help"}
