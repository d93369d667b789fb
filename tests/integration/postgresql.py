"""A PostgreSQL of our own: from the installed binaries, on a free port, in a folder that goes with it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from processes import free_port

PATIENCE = 30.0
_QUICK = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    # Nothing here outlives the test, so nothing needs to reach the disk.
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


def find_binaries() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``, the newest there is."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    on_path = shutil.which("postgres")
    found = newest or (Path(on_path) if on_path else None)
    return found.parent if found else None


class PrivatePostgresql:
    """One server. It refuses to run as root, so it is given to an unprivileged user when we are."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        # Not below pytest's folder, where an unprivileged user may not even pass through.
        self._folder = Path(tempfile.mkdtemp(prefix="encola-postgresql-"))
        self._log = self._folder / "log"
        self._user = _unprivileged()
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Create the data folder on the first start, and return when the server answers."""
        data = self._folder / "data"
        if not data.exists():
            if self._user is not None:
                shutil.chown(self._folder, self._user)
            self._run("initdb", "-D", str(data), "-U", "encola", "-A", "trust", "-E", "UTF8", "--no-sync")
        settings = _QUICK | {"port": str(self._port), "unix_socket_directories": str(self._folder)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", data, *options],
                user=self._user,
                cwd=self._folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Disconnect everybody and end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"
            self._process.wait(PATIENCE)
            self._process = None

    def remove(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self._folder)

    @property
    def url(self) -> str:
        """Return SQLAlchemy's URL of the one database."""
        return f"postgresql+psycopg://encola@127.0.0.1:{self._port}/postgres"

    def empty(self) -> None:
        """Drop every table."""
        address = f"host=127.0.0.1 port={self._port} user=encola dbname=postgres"
        with psycopg.connect(address, autocommit=True, connect_timeout=5) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            user=self._user,
            cwd=self._folder,
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self._run("pg_isready", "-h", "127.0.0.1", "-p", str(self._port))
            except subprocess.CalledProcessError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("PostgreSQL did not start: " + self._log.read_text()[-500:])


def _unprivileged() -> str | None:
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
