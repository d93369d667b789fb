"""Processes of Encola: started, killed, paused, and started again when they die."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from encola.testing.process_group import ProcessGroup
from tests.chaos.waiting import becomes

ROOT = Path(__file__).parents[2]
WATCH_SECONDS = 0.1
LOG_TAIL = 3000


@dataclass(slots=True, kw_only=True)
class Life:
    """One run of a process; ``was_told`` says that the harness ended it or asked it to end."""

    name: str
    pid: int
    started_at: float
    ended_at: float | None = None
    code: int | None = None
    was_told: bool = False


class EncolaProcess:
    """One place in the deployment, filled by one process after another.

    Whoever does something to it holds ``lock``, so that no two faults meet on one process.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        group: ProcessGroup,
        url: str | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self.lock = asyncio.Lock()
        self.lives: list[Life] = []
        self.log = log
        self._command = [sys.executable, "-m", "encola.entrypoints.cli.main", *command]
        self._environment = dict(environment)
        self._group = group
        self._process: subprocess.Popen[bytes] | None = None
        self._is_wanted = False

    @property
    def life(self) -> Life:
        """Return the present life, or the last one."""
        return self.lives[-1]

    @property
    def pid(self) -> int:
        """Return the present process, or the last one."""
        return self.life.pid

    @property
    def is_running(self) -> bool:
        """Tell whether the process is there; a paused one is."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start a process, and keep one running from now on."""
        assert not self.is_running
        self._note_end()
        self._is_wanted = True
        self._process = self._group.start(self._command, environment=self._environment, log=self.log)
        self.lives.append(Life(name=self.name, pid=self._process.pid, started_at=time.time()))

    def kill(self) -> None:
        """Kill it as the kernel would for lack of memory; it stays away until :meth:`start`."""
        self._tell(signal.SIGKILL)
        self._note_end()

    def pause(self) -> None:
        """Freeze it."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def end(self, seconds: float) -> bool:
        """Ask it to end; kill it if it has not within ``seconds``, and tell whether it obeyed."""
        self._tell(signal.SIGTERM)
        obeyed = await becomes(lambda: not self.is_running, seconds)
        self.kill()
        return obeyed

    async def watch(self) -> None:
        """Start it again whenever it dies by itself."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._is_wanted and not self.is_running:
                self.start()

    def log_tail(self) -> str:
        """Return the last lines of what it printed, over all its lives."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:] if self.log.exists() else ""

    def _tell(self, number: signal.Signals) -> None:
        self._is_wanted = False
        if self.is_running:
            self.life.was_told = True
            self._signal(number)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _note_end(self) -> None:
        if self._process is not None and self.life.ended_at is None:
            self.life.code = self._process.wait(timeout=30)
            self.life.ended_at = time.time()
