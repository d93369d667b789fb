"""Processes that are measured: started, frozen, weighed and stopped together. Linux only."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.distributed.machine import ROOT
from encola.testing.process_group import ProcessGroup

STOP_SECONDS = 30.0
LOG_TAIL = 3000
POLL_SECONDS = 0.02


class Crew:
    """A group of processes, killed at the latest when the context ends."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENCOLA_")}
        self._environment = {**inherited, "PYTHONPATH": str(ROOT), **environment}
        self._log = folder / "crew.log"
        self._log.unlink(missing_ok=True)
        self._group = ProcessGroup(folder)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, command: Sequence[str | Path], **environment: str) -> None:
        """Start one more process, with what else its environment says."""
        surroundings = {**self._environment, **environment}
        self._started.append(self._group.start(command, environment=surroundings, log=self._log))

    def wait_until(self, is_so: Callable[[], bool], seconds: float) -> None:
        """Return as soon as it is so.

        :raises RuntimeError: it was not in time, or a process ended
        """
        deadline = time.monotonic() + seconds
        while not is_so():
            self.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"not ready in {seconds:g} s:\n{self._tail()}")
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """See that all are alive.

        :raises RuntimeError: one has ended
        """
        if any(process.poll() is not None for process in self._started):
            raise RuntimeError(f"a process ended:\n{self._tail()}")

    def pause(self) -> None:
        """Freeze all of them, children too."""
        self._tell(signal.SIGSTOP)

    def resume(self) -> None:
        """Let all of them go on."""
        self._tell(signal.SIGCONT)

    def peak_mib(self) -> float:
        """Return the sum of the most memory that each process had at any time, in MiB."""
        return sum(_peak_kib(pid) for pid in self._members()) / 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._stop()
        finally:
            self._group.kill()

    def _stop(self) -> None:
        """Ask them to end, so that they acknowledge what they have done."""
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait(STOP_SECONDS)

    def _tell(self, number: signal.Signals) -> None:
        for pid in self._members():
            os.kill(pid, number)

    def _members(self) -> list[int]:
        group = os.getpgid(self._started[0].pid)
        pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
        return [pid for pid in pids if pid != group and _group_of(pid) == group]

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-LOG_TAIL:] if self._log.exists() else ""


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _peak_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0
