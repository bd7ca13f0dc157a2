"""The largest memory that one stage took."""

from pathlib import Path
from types import TracebackType

from recsys.core.machine import peak_memory_bytes

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """`with PeakMemory() as peak: …; peak.bytes`: largest resident size inside the block.

    Where the system cannot reset its high-water mark (not Linux, or refused), it is that of the process so far.
    """

    bytes: int = 0

    def __enter__(self) -> "PeakMemory":
        self._reset = _reset_high_water()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bytes = _high_water() if self._reset else peak_memory_bytes()


def _reset_high_water() -> bool:
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _high_water() -> int:
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return peak_memory_bytes()
