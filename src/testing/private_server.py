"""What private servers have in common: a process, a folder, a port, and ways to make it fail."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from encola.testing.loopback import HOST, is_free
from encola.testing.process_group import ProcessGroup

_STOP_SECONDS: Final = 30.0
_PORT_SECONDS: Final = 2.0
_LOG_CHARACTERS: Final = 3_000


class ServersMissing(Exception):
    """A server is not installed; the text says which package to install."""


class ServerFailed(Exception):
    """A server did not start, or a command to it failed; the text ends with what it printed."""


class PrivateServer(ABC):
    """One server process, its folder and its port.

    The methods block, and may be called from any thread, but not from two at once. The folder is made
    when it is not there, and stays. The data and the port stay the same over every new start; another
    server on the same folder finds the data too, once this one has ended.

    :ivar port: where it listens on ``127.0.0.1``
    :ivar log: the file with what it printed, over all its starts
    """

    start_seconds: ClassVar[float]

    def __init__(self, folder: Path, *, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.port = port
        self.log = self.folder / "log"
        self._data = self.folder / "data"
        self._group: ProcessGroup | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Return the URL for clients."""

    @property
    def pid(self) -> int:
        """Return the id of the server's process, not of a script around it.

        :raises RuntimeError: it does not run
        """
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Tell whether the process is there; a paused one is."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and return when it answers its clients.

        :raises RuntimeError: it is running already
        :raises ServerFailed: it ended, or did not answer within ``start_seconds``
        """
        if self.is_running:
            raise RuntimeError("the server is running already")
        self.kill()
        self._data.mkdir(exist_ok=True)
        try:
            self._wait_for_the_port()
            self._group = ProcessGroup(self.folder)
            self._process = self._launch(self._group)
            self._wait_for_an_answer(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to end in good order, and kill it if it does not within 30 s."""
        if self._process is not None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)  # a paused one would not hear of it
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill it with SIGKILL, with all its helpers, and return when they are gone."""
        if self._group is not None:
            self._group.kill()
        self._group = self._process = None

    def pause(self) -> None:
        """Stop it with SIGSTOP: its connections stay open and nothing is answered."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after :meth:`pause`."""
        self._running().send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop it in good order and start it again on the same data and port."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Kill it if it runs, and delete its data: the next start is that of a new server."""
        self.kill()
        if self._data.exists():
            shutil.rmtree(self._data)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @abstractmethod
    def _launch(self, group: ProcessGroup) -> subprocess.Popen[bytes]:
        """Start the process, with whatever it needs beside it."""

    @abstractmethod
    def _answers(self) -> bool:
        """Tell whether a client is served.

        :raises OSError: nobody listens, or nothing came in time
        """

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("the server is not running")
        return self._process

    def _ask(self, question: bytes, length: int) -> bytes:
        with socket.create_connection((HOST, self.port), timeout=2.0) as connection:
            connection.sendall(question)
            with connection.makefile("rb") as answer:
                return answer.read(length)

    def _wait_for_the_port(self) -> None:
        # Helpers of a killed server that are not our children may hold it for an instant.
        deadline = time.monotonic() + _PORT_SECONDS
        while not is_free(self.port):
            if time.monotonic() > deadline:
                raise ServerFailed(f"port {self.port} is taken by another process")
            time.sleep(0.02)

    def _wait_for_an_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ServerFailed(f"{self._name} ended with code {process.returncode}:\n{self._log_tail()}")
            with contextlib.suppress(OSError):
                if self._answers():
                    return
            time.sleep(0.02)
        raise ServerFailed(f"{self._name} did not answer in {self.start_seconds:g} s:\n{self._log_tail()}")

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-_LOG_CHARACTERS:]
