"""The largest memory that one stage took."""

from contextlib import suppress
from pathlib import Path
from types import TracebackType

from recsys.core.machine import peak_memory_bytes

_CLEAR = Path("/proc/self/clear_refs")


class PeakMemory:
    """`with PeakMemory() as peak: …; peak.bytes`: largest resident size inside the block.

    Where the system cannot reset its high-water mark (not Linux, or refused), it is that of the
    process so far.
    """

    bytes: int = 0

    def __enter__(self) -> "PeakMemory":
        _reset_high_water()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bytes = peak_memory_bytes()


def _reset_high_water() -> None:
    with suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")
