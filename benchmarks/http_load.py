"""A client that costs little: closed or paced loops over open connections, in one thread; prints
JSON.

    python benchmarks/http_load.py PORT SECONDS CONNECTIONS RATE PATH…

RATE: requests per second over all connections, 0 for as many as are answered. Every connection asks
for one PATH after another, and is opened again where the server closes it. "PATH JSON" posts the
JSON. SIGTERM ends it as its time does. A latency counts from the moment a request was due, so that
a stalled server is charged for all it delayed.
"""

import asyncio
import json
import signal
import sys
import time
from dataclasses import dataclass, field

import uvloop


@dataclass
class Load:
    """What all connections share, and what they found. rate: 0 for a closed loop. end: moment of
    the last request.
    """

    port: int
    connections: int
    rate: float
    end: float
    requests: list[bytes]
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    body_bytes: int = 0

    @property
    def period(self) -> float:
        return self.connections / self.rate if self.rate else 0.0

    def stop(self) -> None:
        """What is under way is the last."""
        self.end = time.perf_counter()


class Connection(asyncio.Protocol):
    """The place-th connection; `due` is when its next request should be sent."""

    def __init__(self, load: Load, place: int) -> None:
        self.load, self.place = load, place
        self.due = time.perf_counter() + load.period * place / load.connections
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._forget()

    def _forget(self) -> None:
        self.buffer, self.wanted, self.closing = b"", -1, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._when_due()

    def _when_due(self) -> None:
        left = self.due - time.perf_counter()
        if left > 0:
            asyncio.get_running_loop().call_later(left, self.ask)
        else:
            self.ask()

    def ask(self) -> None:
        if time.perf_counter() > self.load.end:
            self.transport.close()
            return
        self.transport.write(self.load.requests[self.place % len(self.load.requests)])
        self.place += self.load.connections

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.wanted < 0:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if found:
                self._read_head(head.lower())
                self.buffer = rest
        if 0 <= self.wanted <= len(self.buffer):
            self._answered()

    def _read_head(self, head: bytes) -> None:
        self.load.failed += b" 200 " not in head[:16]
        self.closing = b"connection: close" in head
        at = head.index(b"content-length:") + 15
        self.wanted = int(head[at:].partition(b"\r\n")[0])

    def _answered(self) -> None:
        now = time.perf_counter()
        self.load.latencies.append(now - self.due)
        self.load.body_bytes = self.wanted
        self.due = self.due + self.load.period if self.load.period else now
        closing = self.closing
        self._forget()
        if closing:
            self.transport.close()
        else:
            self._when_due()

    def connection_lost(self, error: Exception | None) -> None:
        self.load.failed += error is not None or self.wanted >= 0
        if time.perf_counter() > self.load.end:
            self.done.set_result(None)
        else:
            self._forget()
            loop = asyncio.get_running_loop()
            self.reopening = loop.create_task(
                loop.create_connection(lambda: self, "127.0.0.1", self.load.port)
            )


def request_of(asked: str) -> bytes:
    """The bytes of a request: GET of a path, or POST of a path and the JSON after it."""
    path, _, body = asked.partition(" ")
    host = "Host: 127.0.0.1"
    if not body:
        return f"GET {path} HTTP/1.1\r\n{host}\r\n\r\n".encode()
    content = body.encode()
    kind = f"Content-Type: application/json\r\nContent-Length: {len(content)}"
    return f"POST {path} HTTP/1.1\r\n{host}\r\n{kind}\r\n\r\n".encode() + content


async def run(
    port: int, seconds: float, connections: int, rate: float, paths: list[str]
) -> dict[str, float]:
    requests = [request_of(path) for path in paths]
    loop, started = asyncio.get_running_loop(), time.perf_counter()
    load = Load(port, connections, rate, started + seconds, requests)
    loop.add_signal_handler(signal.SIGTERM, load.stop)
    made = [Connection(load, place) for place in range(connections)]
    for one in made:
        await loop.create_connection(lambda one=one: one, "127.0.0.1", port)
    await asyncio.gather(*(one.done for one in made))
    taken = sorted(load.latencies)
    return {
        "requests": len(taken),
        "requests_per_second": len(taken) / (time.perf_counter() - started),
        "p50_ms": 1e3 * taken[len(taken) // 2],
        "p99_ms": 1e3 * taken[int(len(taken) * 0.99)],
        "longest_ms": 1e3 * taken[-1],
        "failed": load.failed,
        "bytes": load.body_bytes,
    }


if __name__ == "__main__":
    port, seconds, connections, rate = (
        int(sys.argv[1]),
        float(sys.argv[2]),
        int(sys.argv[3]),
        float(sys.argv[4]),
    )
    print(json.dumps(uvloop.run(run(port, seconds, connections, rate, sys.argv[5:]))))
