"""Servers of PostgreSQL and MariaDB on loopback, started for a test from what Debian installs."""

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
        owner = _owner(Path(folder), "nobody")
        password_file = Path(folder) / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        data = Path(folder) / "data"
        flags = ["-A", "scram-sha-256", "-U", "shop", "--pwfile", str(password_file), "-N"]
        subprocess.run(
            [initdb, "-D", str(data), *flags], check=True, capture_output=True, user=owner
        )
        port = _free_port()
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


@contextmanager
def mariadb() -> Iterator[str]:
    """The same of MariaDB."""
    pytest.importorskip("pymysql")
    search = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    install = shutil.which("mariadb-install-db", path=search)
    server = shutil.which("mariadbd", path=search)
    if install is None or server is None:
        pytest.skip("MariaDB is not installed")
    with tempfile.TemporaryDirectory(prefix="recsys-mariadb-") as folder:
        owner = _owner(Path(folder), "mysql")
        data, socket_file, port = f"{folder}/data", f"{folder}/socket", _free_port()
        flags = ["--no-defaults", f"--datadir={data}"]
        subprocess.run(
            [install, *flags, "--skip-test-db", "--auth-root-authentication-method=normal"],
            check=True,
            capture_output=True,
            user=owner,
        )
        first = Path(folder) / "first.sql"
        first.write_text(
            "CREATE DATABASE shop;\n"
            f"CREATE USER shop@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON shop.* TO shop@'127.0.0.1';\n"
        )
        first.chmod(0o644)
        network = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={socket_file}"]
        process = subprocess.Popen(
            [server, *flags, *network, f"--init-file={first}", "--skip-name-resolve"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=owner,
        )
        try:
            _wait_for_mariadb(port, process)
            yield f"mysql://shop:{URL_PASSWORD}@127.0.0.1:{port}/shop"
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _owner(folder: Path, name: str) -> str | None:
    """Servers of databases do not run as root: somebody else, where the tests do."""
    if os.getuid() != 0:
        return None
    shutil.chown(folder, name)
    return pwd.getpwnam(name).pw_name


def _wait_for_mariadb(port: int, process: subprocess.Popen) -> None:
    import pymysql

    from patience import eventually

    def answers() -> bool:
        assert process.poll() is None, "MariaDB ended"
        try:
            pymysql.connect(
                host="127.0.0.1", port=port, user="shop", password=PASSWORD, database="shop"
            ).close()
        except pymysql.Error:
            return False
        return True

    eventually(answers, "MariaDB never answered")


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
