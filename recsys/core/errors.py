"""Every error that a user can meet, and the exit code of each.

RecsysError
├── DataError        your data or files are wrong                      exit 1
├── MachineError     the environment refuses: disk, memory, packages   exit 1
├── UsageError       the call is wrong: a flag, a key, an id           exit 2
│   └── ConfigError  a run configuration is wrong                      exit 2
└── GateRefused      a gate (audit, promote, diff) said no             exit 4

Anything else that escapes is a bug in recsys: exit 3. Ctrl-C: exit 130.
"""

from collections.abc import Iterable
from difflib import get_close_matches

EXIT_BUG = 3
EXIT_INTERRUPTED = 130


class RecsysError(Exception):
    """An error that names the value received and says what to do about it."""

    exit_code = EXIT_BUG

    def __init__(self, message: str, remedy: str = "") -> None:
        stop = "" if message.endswith(("?", "!", ".")) else "."
        super().__init__(f"{message}{stop} {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class DataError(RecsysError):
    """Your data or files are wrong."""

    exit_code = 1


class MachineError(RecsysError):
    """The machine refuses: a full disk, a read-only mount, too little memory, a missing package."""

    exit_code = 1


class UsageError(RecsysError):
    """The call is wrong: a flag, a value or an id."""

    exit_code = 2


class ConfigError(UsageError):
    """A run configuration is wrong."""


class GateRefused(RecsysError):
    """A gate looked at the result and refused it."""

    exit_code = 4


def nearest(value: str, known: Iterable[str], count: int = 3) -> str:
    """'Did you mean …?' with up to `count` known names close to `value`; empty when none is close."""
    close = get_close_matches(value, list(known), n=count, cutoff=0.6)
    return f"Did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
