"""The HTTP service among hostile clients: what ordinary ones notice, its memory, and how it ends.

    python -m benchmarks hostile BUNDLE [--minutes 30] [--clients 200] [--hostile 10000] [--rate 20]

BUNDLE: of a run, for example runs/demo/bundle. First ordinary load alone, at RATE requests a second;
then the same beside CLIENTS that make HOSTILE requests in that time: for what is dear, malformed,
endless or much too large; some do not read, some leave. Then SIGTERM while they go on. ordinary_p99: of
the second load, against the first. memory: of the process, when the hostile clients begin, a minute
before they end and at their end.
"""

import argparse
import asyncio
import json
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.record import record
from benchmarks.serving import CLIENT, listening
from recsys.bundle.bundle import Bundle

_SERVER = """
import sys
from pathlib import Path
from serving.server import serve
from serving.settings import Settings
serve(Settings(Path(sys.argv[1]), port=int(sys.argv[2])))
"""
Ids = list[str]
Attack = Callable[[int, Ids], Awaitable[None]]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("bundle", type=Path)
    options.add_argument("--minutes", type=float, default=30.0)
    options.add_argument("--clients", type=int, default=200)
    options.add_argument("--hostile", type=int, default=10_000)
    options.add_argument("--rate", type=float, default=20.0)
    given = options.parse_args()
    bundle = Bundle.load(given.bundle.resolve(), verify=False)
    users = bundle.users.ids.head(500).to_list()
    paths = [f"/v1/recommend/{user}?k=10" for user in users]
    command = [sys.executable, "-c", _SERVER, str(given.bundle)]
    with listening(lambda port: [*command, str(port)], "/readyz") as (port, process):
        quiet = ordinary(port, 30.0, given.rate, paths)
        megabytes = [process.memory_info().rss / 1e6]
        seconds = 60 * given.minutes
        apart = given.clients * seconds / given.hostile
        pace = map(str, (port, given.clients, apart))
        attackers = subprocess.Popen(
            [sys.executable, "-c", _ATTACKERS, *pace, *users[:50]],
            stdout=subprocess.PIPE,
        )
        beside = []
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            beside.append(ordinary(port, min(60.0, seconds), given.rate, paths))
            megabytes.append(process.memory_info().rss / 1e6)
        process.send_signal(signal.SIGTERM)
        stopped = time.monotonic()
        process.wait(120)
        ended = time.monotonic() - stopped
        attackers.terminate()
        told, _ = attackers.communicate()
    figures = {
        "users": len(bundle.users),
        "items": len(bundle.items),
        "hostile_requests": json.loads(told.decode().splitlines()[-1]),
        "quiet_p50_ms": round(quiet["p50_ms"], 1),
        "quiet_p99_ms": round(quiet["p99_ms"], 1),
        "ordinary_p50_ms": round(statistics.median(one["p50_ms"] for one in beside), 1),
        "ordinary_p99_ms": round(statistics.median(one["p99_ms"] for one in beside), 1),
        "ordinary_failed": int(sum(one["failed"] for one in beside)),
        "ordinary_requests": int(sum(one["requests"] for one in beside)),
        "megabytes": [round(one) for one in (megabytes[0], *megabytes[1:][-2:])],
        "largest_megabytes": round(max(megabytes)),
        "sigterm_to_end_seconds": round(ended, 1),
    }
    figures["p99_over_quiet"] = round(figures["ordinary_p99_ms"] / figures["quiet_p99_ms"], 1)
    settings = {"minutes": given.minutes, "clients": given.clients, "rate": given.rate}
    record("hostile", figures | settings, f"bundle {bundle.name}")


def ordinary(port: int, seconds: float, rate: float, paths: list[str]) -> dict[str, float]:
    """Lists for users, paced."""
    command = [sys.executable, str(CLIENT), *map(str, (port, seconds, 16, rate)), *paths]
    found: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout
    )
    return found


_ATTACKERS = """
import sys
from benchmarks.hostile import attack
attack(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
"""


def attack(port: int, clients: int, apart: float, users: Ids) -> None:
    """Until SIGTERM; prints how many requests of each kind were made.

    apart: seconds from one request of a client to its next, on average.
    """
    counts = dict.fromkeys((kind.__name__.strip("_") for kind in _KINDS), 0)

    async def client(number: int) -> None:
        draw = random.Random(number)
        now = asyncio.get_running_loop().time
        next_at = now()
        while True:
            next_at += draw.uniform(0, 2 * apart)
            await asyncio.sleep(max(0.0, next_at - now()))
            kind = draw.choice(_KINDS)
            counts[kind.__name__.strip("_")] += 1
            with suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(40):
                    await kind(port, users)

    async def all_clients() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        tasks = [asyncio.create_task(client(number)) for number in range(clients)]
        await stop.wait()
        for task in tasks:
            task.cancel()

    asyncio.run(all_clients())
    print(json.dumps(counts))


async def _exchange(port: int, text: bytes, read: bool = True) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text)
        await writer.drain()
        if read:
            await reader.read(1 << 16)
    finally:
        writer.close()


def _post(path: str, document: object) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _much_too_dear(port: int, users: Ids) -> None:
    requests = [{"user": user} for user in (users * 6)[:256]]
    await _exchange(
        port, _post("/v1/recommend", {"requests": requests, "k": 1000, "explain": True})
    )


async def _just_affordable(port: int, users: Ids) -> None:
    requests = [{"user": user} for user in users[:12]]
    await _exchange(
        port, _post("/v1/recommend", {"requests": requests, "k": 1000, "explain": True})
    )


async def _diverse(port: int, users: Ids) -> None:
    requests = [{"user": user} for user in (users * 2)[:64]]
    body = {"requests": requests, "k": 1000, "diversity": 0.5}
    await _exchange(port, _post("/v1/recommend", body))


async def _repeated_filters(port: int, users: Ids) -> None:
    body = {"requests": [{"user": users[0]}], "filters": {"genres": ["Drama"] * 100_000}}
    await _exchange(port, _post("/v1/recommend", body))


async def _long_histories(port: int, users: Ids) -> None:
    history = [{"item": str(one)} for one in range(10_000)]
    await _exchange(port, _post("/v1/recommend", {"requests": [{"history": history}]}))


async def _unknown_ids(port: int, users: Ids) -> None:
    path = f"/v1/similar/{users[0]}x{random.random()}"
    await _exchange(port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())


async def _malformed(port: int, users: Ids) -> None:
    texts = [b"[" * 50_000, b"{", b'{"requests": 5}', b"\xff" * 1000, b'{"requests": [{}]}']
    await _exchange(port, _post("/v1/recommend", random.choice(texts)))


async def _no_http(port: int, users: Ids) -> None:
    await _exchange(port, random.randbytes(500) + b"\r\n\r\n")


async def _unread(port: int, users: Ids) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    try:
        writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 90)
        await asyncio.sleep(35)
    finally:
        writer.close()


async def _abandoned(port: int, users: Ids) -> None:
    requests = [{"user": user} for user in users[:8]]
    text = _post("/v1/recommend", {"requests": requests, "k": 1000, "explain": True})
    await _exchange(port, text, read=False)


async def _slow_headers(port: int, users: Ids) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for letter in b"GET /v1/recommend/1 HTTP/1.1":
            writer.write(bytes([letter]))
            await writer.drain()
            await asyncio.sleep(0.5)
    finally:
        writer.close()


async def _half_a_body(port: int, users: Ids) -> None:
    await _exchange(port, _post("/v1/recommend", {"requests": []})[:-5])


_KINDS: tuple[Attack, ...] = (
    _much_too_dear,
    _just_affordable,
    _diverse,
    _repeated_filters,
    _long_histories,
    _unknown_ids,
    _malformed,
    _no_http,
    _unread,
    _abandoned,
    _slow_headers,
    _half_a_body,
)


if __name__ == "__main__":
    main()
