"""What a piece of work cost, without what is left out of it and with what was done for it earlier."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from recsys.core.machine import peak_memory_bytes


class Meter:
    """Time of this process since the meter was made, and the most memory that it ever held."""

    def __init__(self) -> None:
        self.wall, self.processor, self.peak_mb = time.perf_counter(), time.process_time(), 0

    def cost(self) -> dict[str, float]:
        """`seconds` of wall, `cpu_seconds` of processor, `peak_mb`."""
        wall, processor = time.perf_counter() - self.wall, time.process_time() - self.processor
        peak = max(self.peak_mb, peak_memory_bytes() // 2**20)
        return {"seconds": round(wall, 1), "cpu_seconds": round(processor, 1), "peak_mb": peak}

    def add(self, cost: Mapping[str, float]) -> None:
        """Count work that another meter measured, before this one or in another process."""
        self.wall -= cost["seconds"]
        self.processor -= cost["cpu_seconds"]
        self.peak_mb = max(self.peak_mb, int(cost["peak_mb"]))

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Leave out the time of what is done in here."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor
