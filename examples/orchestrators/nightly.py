"""What every orchestrator does with `recsys run`: start it, read its JSON, and branch on its exit code."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any

RECSYS = os.environ.get("RECSYS", "recsys")
"""The command; it may stand in an environment of its own, apart from the orchestrator's."""
LIVE, DATA, USAGE, BUG, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


class TryAgain(Exception):
    """The data or the machine was not ready: a later try may succeed."""


class Broken(Exception):
    """Configuration or code is wrong: no later try can succeed."""


@dataclass(frozen=True)
class Night:
    """What a run came to.

    is_live: whether the new bundle answers; false where its own report calls it worse and the
        one before stays.
    document: of `recsys run --json`.
    message: what stderr ended with.
    """

    is_live: bool
    document: dict[str, Any] = field(default_factory=dict)
    message: str = ""


def run_recsys(config: str, out: str, *flags: str) -> Night:
    """Run a configuration to its end. Raises TryAgain or Broken by the exit code.

    A run that was killed goes on where it was when the same command is repeated, so that a retry
    costs only what is missing.
    """
    command = [RECSYS, "run", config, "--out", out]
    done = subprocess.run(
        [*command, "--json", "--quiet", *flags], capture_output=True, text=True, check=False
    )
    message = (done.stderr.strip().splitlines() or [""])[-1]
    if done.returncode in (LIVE, REFUSED):
        return Night(done.returncode == LIVE, json.loads(done.stdout), message)
    if done.returncode in (DATA, INTERRUPTED):
        raise TryAgain(message)
    raise Broken(message)
