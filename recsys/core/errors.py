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

EXIT_BUG = 3
EXIT_INTERRUPTED = 130


class RecsysError(Exception):
    """An error that names the value received and says what to do about it."""

    exit_code = EXIT_BUG
    code = "internal_error"

    def __init__(self, message: str, remedy: str = "", *, code: str | None = None) -> None:
        """code: what programs tell errors of one kind apart by; that of the class when None."""
        stop = "" if message.endswith(("?", "!", ".")) else "."
        super().__init__(f"{message}{stop} {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy
        if code is not None:
            self.code = code


class DataError(RecsysError):
    """Your data or files are wrong."""

    exit_code = 1
    code = "bad_data"


class MachineError(RecsysError):
    """The machine refuses: a full disk, a read-only mount, too little memory, a missing package."""

    exit_code = 1
    code = "unavailable"


class UsageError(RecsysError):
    """The call is wrong: a flag, a value or an id."""

    exit_code = 2
    code = "invalid_request"


class ConfigError(UsageError):
    """A run configuration is wrong."""


class GateRefused(RecsysError):
    """A gate looked at the result and refused it."""

    exit_code = 4
    code = "gate_refused"


_CLOSE_PERCENT = 60  # of the letters of both are in common, in order


def nearest(value: str, known: Iterable[str], count: int = 3) -> str:
    """'Did you mean …?' with up to `count` known names close to `value`; empty when none is close."""
    # Where they are wanted alone: the import takes 25 ms.
    from rapidfuzz import fuzz, process
    from rapidfuzz.distance import OSA

    matches = process.extract(
        value, list(known), scorer=fuzz.ratio, limit=5 * count, score_cutoff=_CLOSE_PERCENT
    )
    # Of those with as many letters in common, first the one that two letters were swapped in.
    matches.sort(key=lambda match: (-match[1], OSA.distance(value, match[0])))
    close = [repr(name) for name, _, _ in matches[:count]]
    return f"Did you mean {' or '.join(close)}?" if close else ""
