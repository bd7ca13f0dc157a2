"""A client that costs little: closed or paced loops over keep-alive connections, in one thread; prints JSON.

    python benchmarks/http_load.py PORT SECONDS CONNECTIONS RATE PATH…

RATE: requests per second over all connections, 0 for as many as are answered. Every connection asks for one PATH after
another. A latency counts from the moment a request was due, so that a stalled server is charged for all it delayed.
"""

import asyncio
import json
import sys
import time

import uvloop


class Connection(asyncio.Protocol):
    """One connection. period: seconds between its requests, 0 for one after another."""

    def __init__(self, paths: list[str], place: int, step: int, period: float, end: float) -> None:
        self.requests = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths]
        self.place, self.step, self.period, self.end = place, step, period, end
        self.due, self.buffer, self.wanted = 0.0, b"", -1
        self.latencies: list[float] = []
        self.failed, self.body_bytes = 0, 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.due = time.perf_counter() + self.period * self.place / self.step
        asyncio.get_running_loop().call_later(max(self.due - time.perf_counter(), 0), self.ask)

    def ask(self) -> None:
        if time.perf_counter() > self.end:
            self.transport.close()
            return
        self.transport.write(self.requests[self.place % len(self.requests)])
        self.place += self.step

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.wanted < 0:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self.failed += not head.startswith(b"HTTP/1.1 200")
            at = head.index(b"content-length:") + 15
            self.wanted, self.buffer = int(head[at:].partition(b"\r\n")[0]), rest
        if len(self.buffer) >= self.wanted:
            self.body_bytes, self.buffer, self.wanted = self.wanted, b"", -1
            self.answered()

    def answered(self) -> None:
        now = time.perf_counter()
        self.latencies.append(now - self.due)
        self.due = self.due + self.period if self.period else now
        if self.due > now:
            asyncio.get_running_loop().call_later(self.due - now, self.ask)
        else:
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        self.failed += error is not None
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, seconds: float, connections: int, rate: float, paths: list[str]) -> dict[str, float]:
    loop, started = asyncio.get_running_loop(), time.perf_counter()
    period = connections / rate if rate else 0.0
    made = [
        (await loop.create_connection(
            lambda place=place: Connection(paths, place, connections, period, started + seconds), "127.0.0.1", port
        ))[1]
        for place in range(connections)
    ]  # fmt: skip
    await asyncio.gather(*(one.done for one in made))
    taken = sorted(latency for one in made for latency in one.latencies)
    return {
        "requests": len(taken),
        "requests_per_second": len(taken) / (time.perf_counter() - started),
        "p50_ms": 1e3 * taken[len(taken) // 2],
        "p99_ms": 1e3 * taken[int(len(taken) * 0.99)],
        "failed": sum(one.failed for one in made),
        "bytes": made[0].body_bytes,
    }


if __name__ == "__main__":
    port, seconds, connections, rate = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    print(json.dumps(uvloop.run(load(port, seconds, connections, rate, sys.argv[5:]))))
