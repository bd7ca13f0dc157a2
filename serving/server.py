"""Run the application: load and verify a bundle, then listen, in one process or several."""

import errno
import os
import resource
import socket
import tempfile
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from recsys.core.errors import MachineError, UsageError
from serving import logs
from serving.admission import LOOPBACK
from serving.app import make_app
from serving.keys import Keys
from serving.logs import LOG
from serving.otel import require_otel
from serving.prefix import require_prefix
from serving.protocol import PatientProtocol
from serving.remote import following
from serving.settings import Settings

_SETTINGS, _METRICS = "RECSYS_SERVE", "PROMETHEUS_MULTIPROC_DIR"
KEEP_ALIVE_SECONDS = 5
_BACKLOG = 4096
_SEND_BYTES = 1 << 18
_MOST_FILES = 1 << 16
_OWN_FILES = 256  # of a process, beside those of its connections


def serve(settings: Settings) -> None:
    """Serve until interrupted.

    Raises UsageError for a host other than loopback without keys and for a wrong prefix, ConfigError
    for a broken file of keys or OpenTelemetry that is not installed, MachineError for an address
    that cannot be bound, DataError when the first bundle is refused.
    """
    if settings.keys is None and settings.host not in LOOPBACK:
        raise UsageError(
            f"--host {settings.host}: without keys the service binds to loopback only",
            f"Give --keys FILE (make a key with recsys key), or bind to one of {', '.join(LOOPBACK)}",
        )
    if settings.keys is None and "*" in settings.cors:
        raise UsageError(
            "--cors '*': without keys every page could ask",
            "Name the origins of your pages, or give --keys FILE",
        )
    require_prefix(settings.prefix)
    if settings.keys is not None:
        Keys(settings.keys)
    if settings.otel:
        require_otel()
    logs.configure(settings.log, settings.access_log, info=settings.workers > 1)
    _raise_file_limit()
    # In the process that starts the workers: they follow the copy that it keeps.
    with following(settings), _bound(settings) as listener:
        if settings.workers == 1:
            app = make_app(settings)
            _tell(settings, listener)
            uvicorn.Server(uvicorn.Config(app, **listening(settings))).run([listener])
            return
        with tempfile.TemporaryDirectory(prefix="recsys-metrics-") as folder:
            os.environ |= {_SETTINGS: settings.to_json(), _METRICS: folder}
            config = uvicorn.Config(
                "serving.server:worker",
                factory=True,
                workers=settings.workers,
                **listening(settings),
            )
            _tell(settings, listener)
            Multiprocess(config, [listener]).run()


def worker() -> ASGIApp:
    """The application of one of several workers, as its parent described it in the environment."""
    settings = Settings.from_json(os.environ[_SETTINGS])
    logs.configure(settings.log, settings.access_log)
    _limit(settings)
    return make_app(settings)


def listening(settings: Settings) -> dict[str, Any]:
    """What uvicorn is told."""
    _limit(settings)
    return {
        "host": settings.host,
        "port": settings.port,
        "http": PatientProtocol,
        "loop": "uvloop",
        "ws": "none",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": False,
        "backlog": _BACKLOG,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_worker_healthcheck": 30,  # a worker that loads a large bundle on a busy machine is not dead
        "timeout_graceful_shutdown": int(settings.stop_seconds),
    }


def _limit(settings: Settings) -> None:
    """Give the protocol its limits."""
    PatientProtocol.header_seconds = settings.header_seconds
    PatientProtocol.write_seconds = settings.write_seconds
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    PatientProtocol.most_connections = min(settings.connections, max(files - _OWN_FILES, 16))


def _raise_file_limit() -> None:
    """As many open files as the host lets a process have: each connection is one."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
    if files < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _bound(settings: Settings) -> socket.socket:
    """A socket that listens at the address, before anything is loaded. Raises MachineError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=_BACKLOG
        )
    except OSError as error:
        remedy = "Name an address of this machine with --host"
        if error.errno == errno.EADDRINUSE:
            remedy = "Another program listens there: choose another --port"
        elif error.errno == errno.EACCES:
            remedy = "Choose a --port above 1023"
        raise MachineError(
            f"cannot listen at {settings.host}:{settings.port}: {error.strerror}", remedy
        ) from None
    # What the system holds of answers that a client does not read; it would take megabytes.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
    listener.set_inheritable(True)
    return listener


def _tell(settings: Settings, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    note = "" if settings.keys else "; no keys, so loopback only"
    LOG.info(
        "serving %s on http://%s:%d%s%s",
        settings.bundle.resolve().name,
        host,
        port,
        settings.prefix,
        note,
    )
