"""The folder of the embedded profile, held by one process at a time."""

import fcntl
import os
from pathlib import Path
from typing import IO

from encola.domain.errors import InvalidSettings


class DataFolder:
    """Creates the folder and locks it; the lock ends with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Take the folder.

        :raises InvalidSettings: it cannot be written, or another process has it
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "encola.lock").open("a+")
        except OSError as error:
            raise InvalidSettings(
                f"The data folder {self.path} cannot be written ({error.strerror});"
                " set ENCOLA_DATA_DIR to one that can."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise InvalidSettings(
                f"The data folder {self.path} is in use by another Encola (process {holder});"
                " stop it, or set ENCOLA_DATA_DIR to another folder."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def close(self) -> None:
        """Let the folder go."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
