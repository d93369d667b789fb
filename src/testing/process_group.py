"""Processes that end together, and never outlive the Python that started them."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

END_SECONDS = 10.0


class ProcessGroup:
    """A POSIX process group, led by a guardian that kills it when its starter is gone.

    The guardian waits at a pipe whose other end is held by this Python, and by what it forks without
    ``exec``. The kernel closes that end however Python ends, also by SIGKILL. Grandchildren are killed
    too as long as they stay in the group; a daemon would leave it, and belongs in the foreground.

    :param folder: where the processes work
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guardian = subprocess.Popen(
            ["/bin/sh", "-c", "read -r _; kill -KILL 0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            process_group=0,
        )
        self._members = [self._guardian]

    def start(
        self, command: Sequence[str | Path], *, environment: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a process in the group; what it prints is appended to the log."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                env=environment,
                process_group=self._guardian.pid,
            )
        self._members.append(process)
        return process

    def kill(self) -> None:
        """Kill all of them with SIGKILL, and return when they are gone. May be called again."""
        with contextlib.suppress(ProcessLookupError):
            # Not reaped yet, so that no other group can have got its number.
            if self._guardian.returncode is None:
                os.killpg(self._guardian.pid, signal.SIGKILL)
        for process in self._members:
            process.wait(END_SECONDS)
        if self._guardian.stdin is not None:
            self._guardian.stdin.close()
