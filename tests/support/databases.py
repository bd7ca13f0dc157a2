"""A PostgreSQL server on loopback, started for a test from what Debian installs."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PASSWORD = "correct:horse@battery"
URL_PASSWORD = "correct%3Ahorse%40battery"


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database. Skips the test where PostgreSQL is not installed."""
    pytest.importorskip("adbc_driver_postgresql")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    search = os.pathsep.join([os.environ["PATH"], *map(str, programs[::-1])])
    initdb, server = shutil.which("initdb", path=search), shutil.which("postgres", path=search)
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="recsys-postgres-") as folder:
        owner = _owner(Path(folder))
        password_file = Path(folder) / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        data = Path(folder) / "data"
        flags = ["-A", "scram-sha-256", "-U", "shop", "--pwfile", str(password_file), "-N"]
        subprocess.run(
            [initdb, "-D", str(data), *flags], check=True, capture_output=True, user=owner
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [server, "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=owner
        )
        try:
            url = f"postgresql://shop:{URL_PASSWORD}@127.0.0.1:{port}/postgres"
            _wait(url, process)
            yield url
        finally:
            process.terminate()
            process.wait()


def _owner(folder: Path) -> str | None:
    """PostgreSQL does not run as root: somebody else, where the tests do."""
    if os.getuid() != 0:
        return None
    shutil.chown(folder, "nobody")
    return pwd.getpwnam("nobody").pw_name


def _wait(url: str, process: subprocess.Popen) -> None:
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    from patience import eventually

    def answers() -> bool:
        assert process.poll() is None, "PostgreSQL ended"
        try:
            dbapi.connect(url).close()
        except Error:
            return False
        return True

    eventually(answers, "PostgreSQL never answered")
