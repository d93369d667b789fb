"""Real server processes for tests: started, killed, restarted on the same port and folder."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

HERE = Path(__file__).parent
READY_SECONDS = 20.0


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DevServer:
    """One ``encola dev`` with a folder of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "server.log"

    @property
    def pid(self) -> int:
        """Return the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self, *options: str, wait: bool = True) -> None:
        """Start the process, and wait until it answers."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ENCOLA_")},
            "ENCOLA_PORT": str(self.port),
            "ENCOLA_DATA_DIR": str(self.folder / "data"),
            "ENCOLA_APP": "jobs_app:app",
            "ENCOLA_DRAIN_SECONDS": "2",
            **self._environment,
        }
        command = [sys.executable, "-m", "encola.entrypoints.cli.main", "dev", *options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=HERE, env=environment, stdout=log, stderr=log)
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return when the server answers; fail with its log when it does not."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/readyz", timeout=1).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise AssertionError(f"the server did not become ready:\n{self.log.read_text()[-3000:]}")

    def kill9(self) -> None:
        """Kill the process as the kernel would for lack of memory."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """Ask the process to end, and return its exit code."""
        return self._signal(signal.SIGTERM)

    def restart(self) -> None:
        """Start it again after :meth:`kill9` or :meth:`stop`, which this does if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill9()
        self.start()

    def _signal(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(timeout=30)
