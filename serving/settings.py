"""How a service runs; what the workers of a host are started with."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Settings:
    """How a service runs.

    bundle: a bundle, or the link to one, which is followed.
    run: the run folder it belongs to, if any.
    keys: file of keys; without it nobody is asked for one.
    events: file of live events; without it none are taken.
    audit: file of what was done by /v1/admin.
    body_bytes: the largest request.
    header_seconds, body_seconds: until a slow client is cut off.
    answer_seconds: until a request is given up.
    poll_seconds: how often the link is looked at.
    cors: origins that pages may call from.
    """

    bundle: Path
    run: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    keys: Path | None = None
    events: Path | None = None
    audit: Path | None = None
    body_bytes: int = 8 << 20
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    answer_seconds: float = 30.0
    poll_seconds: float = 2.0
    cors: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @staticmethod
    def from_json(text: str) -> "Settings":
        values: dict[str, Any] = json.loads(text)
        for field in fields(Settings):
            if "Path" in str(field.type) and values[field.name] is not None:
                values[field.name] = Path(values[field.name])
        values["cors"] = tuple(values["cors"])
        return Settings(**values)
