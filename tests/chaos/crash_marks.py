"""Saying where a process is to die, and dying there.

A mark is a file with the name of the point, in the folder that ``CHAOS_CRASHES`` names.
"""

import os
import signal
from pathlib import Path

CRASHES = "CHAOS_CRASHES"
_BY = ".by-"


def pass_by(point: str) -> None:
    """Die here if the point is marked; the mark is then taken, so that one process dies."""
    mark = Path(os.environ[CRASHES]) / point
    if mark.exists():
        try:
            mark.rename(f"{mark}{_BY}{os.getpid()}")
        except FileNotFoundError:
            return  # another process was faster, and dies
        os.kill(os.getpid(), signal.SIGKILL)


def crashes_in(folder: Path) -> dict[int, str]:
    """Return which process died at which point."""
    marks = (mark.name.rpartition(_BY) for mark in folder.glob(f"*{_BY}*"))
    return {int(pid): point for point, _, pid in marks}
