"""Which processes work in a folder, and where they listen, by what Linux says of them."""

import os
from pathlib import Path

_LISTENS = "0A"
_LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


def processes_in(folder: Path) -> list[int]:
    """Return the living processes that work in a folder or know of it by their environment."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _is_in(entry, str(folder))]


def ports_of(pids: list[int]) -> set[int]:
    """Return the TCP ports on which processes listen."""
    return {int(address.partition(":")[2], 16) for address in _listening(pids)}


def are_private(pids: list[int]) -> bool:
    """Tell whether processes listen on the loopback interface only."""
    return {address.partition(":")[0] for address in _listening(pids)} <= _LOOPBACK


def _is_in(process: Path, folder: str) -> bool:
    try:
        works_in = os.readlink(process / "cwd")
        environment = (process / "environ").read_text(errors="replace")
    except OSError:  # it has gone, or is a zombie
        return False
    return works_in.startswith(folder) or folder in environment


def _listening(pids: list[int]) -> set[str]:
    sockets = {os.readlink(descriptor) for pid in pids for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1] for row in rows if row[3] == _LISTENS and f"socket:[{row[9]}]" in sockets}
