"""Run the application: load and verify a bundle, then listen."""

from pathlib import Path

import uvicorn

from recsys.core.errors import UsageError
from recsys.index.bundle import Bundle
from recsys.index.lookup import Lookup
from serving.app import make_app

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(bundle: Path, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve a bundle until interrupted. Raises UsageError for a host other than loopback: there are no keys yet."""
    if host not in LOOPBACK:
        raise UsageError(f"--host {host}: the service has no access keys", f"Bind to one of {', '.join(LOOPBACK)}")
    uvicorn.run(make_app(Lookup(Bundle.load(bundle))), host=host, port=port, log_level="warning")
