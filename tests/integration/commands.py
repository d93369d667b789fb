"""The ``encola`` command as real processes, for tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from processes import HERE

COMMAND = (sys.executable, "-m", "encola.entrypoints.cli.main")
PATIENCE = 30.0


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with these Encola variables and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENCOLA_")}
    return {**inherited, **variables}


def encola(*arguments: str, stdin: str | None = None, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=HERE,
        env=environment(**variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(*arguments: str, **variables: str) -> "Iterator[subprocess.Popen[str]]":
    """Start a command; whatever happens it has ended afterwards."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=HERE,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509 - it takes no lock that a thread could hold
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _heed_interrupts() -> None:
    """Undo what a shell does to jobs in the background, and they to their children: ignoring Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    """Return stdout up to the line with ``text``."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"{text!r} never came, but: {''.join(lines)}")
