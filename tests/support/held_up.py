"""Steps whose calls wait at a gate, so that a test may do harm in the middle of one."""

import os
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from patience import PATIENCE_SECONDS
from recsys.core.steps import Call, Facts, Steps


@dataclass
class HeldUp(Steps):
    """The first try of each call of `step` stops before it ends until the file `gate`/open is there.

    What started is told by a file in `gate`, named by its bucket, with the process that runs it.
    """

    step: str = ""
    gate: Path = field(default_factory=Path)

    def run(self, step: str, function: Any, *rest: Any, **named: Any) -> Any:
        if step == self.step:
            function = partial(wait_at, function, str(self.gate))
        return super().run(step, function, *rest, **named)


def wait_at(function: Any, gate: str, call: Call) -> Facts:
    """A step function that stops at the gate when it is tried for the first time."""
    facts: Facts = function(call)
    started = Path(gate) / call.name.replace(" ", "-")
    if not started.exists():
        unfinished = started.with_suffix(".tmp")
        unfinished.write_text(str(os.getpid()))
        unfinished.replace(started)
        began = time.monotonic()
        while not (Path(gate) / "open").exists():
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise TimeoutError(f"nobody opened {gate}")
            time.sleep(0.02)
    return facts


def letters(call: Call) -> Facts:
    """A step: writes its number as text, and all that its inputs hold."""
    texts = [file.path.read_text() for file in call.inputs]
    (call.out / "letters.txt").write_text(f"{call.arguments}:{''.join(texts)}")
    return {"length": sum(len(text) for text in texts)}


def kill_itself(call: Call) -> Facts:
    """A step that takes its process along, always."""
    os.kill(os.getpid(), 9)
    return {}


def kill_itself_once(call: Call) -> Facts:
    """A step that takes its process along when it is tried for the first time."""
    mark = Path(call.arguments) / call.name
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
    return letters(replace(call, arguments="again"))


def polars_threads(_: object) -> int:
    """How many threads polars has where this runs."""
    import polars as pl

    return pl.thread_pool_size()
