"""Run the application: load and verify a bundle, then listen, in one process or several."""

import logging
import os
import tempfile
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from recsys.core.errors import UsageError
from serving.app import make_app
from serving.guard import LOOPBACK
from serving.keys import Keys
from serving.protocol import PatientProtocol
from serving.settings import Settings

_SETTINGS, _METRICS = "RECSYS_SERVE", "PROMETHEUS_MULTIPROC_DIR"
KEEP_ALIVE_SECONDS = 5
_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def serve(settings: Settings) -> None:
    """Serve until interrupted.

    Raises UsageError for a host other than loopback without keys, ConfigError for a broken file of
    keys, DataError when the first bundle is refused.
    """
    if settings.keys is None and settings.host not in LOOPBACK:
        raise UsageError(
            f"--host {settings.host}: without keys the service binds to loopback only",
            f"Give --keys FILE (make a key with recsys key), or bind to one of {', '.join(LOOPBACK)}",
        )
    if settings.keys is not None:
        Keys(settings.keys)
    logging.basicConfig(format=_LOG_FORMAT)
    if settings.workers == 1:
        uvicorn.run(make_app(settings), **listening(settings))
        return
    with tempfile.TemporaryDirectory(prefix="recsys-metrics-") as folder:
        os.environ |= {_SETTINGS: settings.to_json(), _METRICS: folder}
        uvicorn.run(
            "serving.server:worker", factory=True, workers=settings.workers, **listening(settings)
        )


def worker() -> ASGIApp:
    """The application of one of several workers, as its parent described it in the environment."""
    settings = Settings.from_json(os.environ[_SETTINGS])
    PatientProtocol.header_seconds = settings.header_seconds
    return make_app(settings)


def listening(settings: Settings) -> dict[str, Any]:
    """What uvicorn is told."""
    PatientProtocol.header_seconds = settings.header_seconds
    return {
        "host": settings.host,
        "port": settings.port,
        "http": PatientProtocol,
        "loop": "uvloop",
        "ws": "none",
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "date_header": False,
        "proxy_headers": False,
        "backlog": 4096,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_worker_healthcheck": 30,  # a worker that loads a large bundle on a busy machine is not dead
        "timeout_graceful_shutdown": int(settings.answer_seconds),
    }
