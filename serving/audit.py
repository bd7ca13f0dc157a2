"""The record of what administrators did: one JSON line a call, on disk before it is answered."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import orjson


@dataclass(frozen=True)
class Audit:
    """path: None keeps no record."""

    path: Path | None

    def write(self, key: str, action: str, outcome: str) -> None:
        """key: name of the API key. outcome: the bundle that answers afterwards, or why it was
        refused.
        """
        if self.path is None:
            return
        line = orjson.dumps(
            {"time": int(time.time()), "key": key, "action": action, "outcome": outcome},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        handle = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o640)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)
