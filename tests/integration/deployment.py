"""Real processes of the distributed profile, over servers that are there already."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from processes import HERE, READY_SECONDS, free_port


class Process:
    """One ``encola api`` or ``encola worker``; ``url`` is where an API answers."""

    def __init__(self, kind: str, log: Path, environment: dict[str, str]) -> None:
        self._log = log
        self._command = [sys.executable, "-m", "encola.entrypoints.cli.main", kind, "--json"]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{environment['ENCOLA_PORT']}"

    def start(self) -> None:
        """Start it, and return when it says that it is ready."""
        seen = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=HERE, env=self._environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if b'"pid"' in self._log.read_bytes()[seen:]:
                return
            time.sleep(0.02)
        raise AssertionError(f"the process did not become ready:\n{self._log.read_text()[-3000:]}")

    def send(self, number: signal.Signals) -> None:
        """Signal it."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill9(self) -> None:
        """Kill it as the kernel would for lack of memory; a no-op when it is gone."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=30)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=30)

    @property
    def is_running(self) -> bool:
        """Tell whether it is there; a paused one is."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Return what it has printed."""
        return self._log.read_text(errors="replace")


class Deployment:
    """Any number of processes on one Redis and one RabbitMQ."""

    def __init__(self, folder: Path, redis_url: str, amqp_url: str, **environment: str) -> None:
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ENCOLA_")},
            "ENCOLA_PROFILE": "distributed",
            "ENCOLA_REDIS_URL": redis_url,
            "ENCOLA_AMQP_URL": amqp_url,
            "ENCOLA_APP": "jobs_app:app",
            "ENCOLA_DRAIN_SECONDS": "2",
            **environment,
        }
        self.processes: list[Process] = []

    def api(self, **environment: str) -> Process:
        """Start a process that answers HTTP."""
        return self._start("api", environment)

    def worker(self, **environment: str) -> Process:
        """Start a process that runs jobs."""
        return self._start("worker", environment)

    def end(self) -> None:
        """Kill whatever runs."""
        for process in self.processes:
            process.kill9()

    def _start(self, kind: str, environment: dict[str, str]) -> Process:
        log = self._folder / f"{kind}-{len(self.processes)}.log"
        port = {"ENCOLA_PORT": str(free_port())}
        process = Process(kind, log, {**self._environment, **port, **environment})
        self.processes.append(process)
        process.start()
        return process


class SharedDeployment:
    """One API and one worker, to be asked what ``encola dev`` is asked."""

    def __init__(self, folder: Path, redis_url: str, amqp_url: str, **environment: str) -> None:
        self._deployment = Deployment(folder, redis_url, amqp_url, **environment)
        self.folder = folder
        self.url = ""
        self.port = 0

    def start(self) -> None:
        """Start both, and return when the API is ready."""
        self._deployment.worker()
        self.url = self._deployment.api().url
        self.port = int(self.url.rsplit(":", 1)[1])
        httpx.get(f"{self.url}/readyz", timeout=5).raise_for_status()

    def kill9(self) -> None:
        """Kill both."""
        self._deployment.end()
