"""How long tests wait for what must come: an end for what hangs, never a measure of speed."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 900


def eventually(is_so: Callable[[], bool], what: str) -> None:
    """Returns as soon as it is so; fails with `what` when it never will be."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < PATIENCE_SECONDS, what
        time.sleep(0.02)
