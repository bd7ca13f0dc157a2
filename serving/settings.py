"""How a service runs; what the workers of a host are started with."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from serving.logs import Form


@dataclass(frozen=True)
class Settings:
    """How a service runs.

    bundle: a bundle, or the link to one, which is followed.
    run: the run folder it belongs to, if any.
    url: in object storage, of which `run` is the copy on this machine.
    keys: file of keys; without it nobody is asked for one.
    events: file of live events; without it none are taken.
    audit: file of what was done by /v1/admin.
    body_bytes: the largest request.
    header_seconds, body_seconds: until a slow client is cut off.
    write_seconds: until a client is cut off that does not read.
    answer_seconds: until a request is given up.
    stop_seconds: for what is under way once the service is told to stop; then it is given up.
    drain_seconds: in which a service that is told to stop says so at /readyz and goes on.
    connections: the most of a process, where the machine lets it have so many files.
    poll_seconds: how often the link is looked at.
    remote_poll_seconds: how often the store is asked what `url` holds.
    live_days: that an event is folded into answers; the log on disk keeps it.
    cors: origins that pages may call from.
    prefix: path that a proxy in front serves it under, such as /recs; "" for none.
    images: origins from which the page may show pictures of items.
    log: form of a line. access_log: a line for every request, not for failed ones alone.
    otel: send traces and metrics to a collector of OpenTelemetry.
    """

    bundle: Path
    run: Path | None = None
    url: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    keys: Path | None = None
    events: Path | None = None
    audit: Path | None = None
    body_bytes: int = 8 << 20
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    write_seconds: float = 30.0
    answer_seconds: float = 30.0
    stop_seconds: float = 8.0
    drain_seconds: float = 0.0
    connections: int = 10_000
    poll_seconds: float = 2.0
    remote_poll_seconds: float = 10.0
    live_days: float = 30.0
    cors: tuple[str, ...] = ()
    prefix: str = ""
    images: tuple[str, ...] = ()
    log: Form = "text"
    access_log: bool = False
    otel: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @staticmethod
    def from_json(text: str) -> "Settings":
        values: dict[str, Any] = json.loads(text)
        for field in fields(Settings):
            if "Path" in str(field.type) and values[field.name] is not None:
                values[field.name] = Path(values[field.name])
        values["cors"] = tuple(values["cors"])
        values["images"] = tuple(values["images"])
        return Settings(**values)
