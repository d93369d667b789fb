"""What ``encola doctor`` looks at, one function a question; nothing is changed or left behind."""

import fcntl
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import httpx

from encola.domain.errors import InvalidSettings
from encola.entrypoints.cli.config import masked
from encola.entrypoints.cli.distributed_checks import examine_distributed
from encola.entrypoints.cli.findings import Finding
from encola.entrypoints.server import take_port
from encola.entrypoints.settings import Settings, check_front_door

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 35)
LITTLE_SPACE = 1024**3
TOO_LITTLE_SPACE = 100 * 1024**2
ANSWER_SECONDS = 2.0
SKEW_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What answered at the server's address, if anything."""

    url: str
    answer: httpx.Response | None

    @property
    def is_encola(self) -> bool:
        """Tell whether it is one of us."""
        return self.answer is not None and self.answer.is_success


def examine(settings: Settings, url: str | None) -> Iterator[Finding]:
    """Yield the findings, the most basic first; ``url`` is the server's, if it is known."""
    server = None if url is None else Server(url=url, answer=_ask(url))
    yield python()
    yield profile(settings)
    yield front_door(settings)
    if settings.profile == "embedded":
        yield sqlite()
        yield data_folder(settings.data_dir)
        yield free_space(settings.data_dir)
        yield folder_lock(settings.data_dir, server)
    if settings.profile == "distributed":
        yield from examine_distributed(settings)
    if server is not None:
        yield port(settings, server)
        yield running_server(server)
    yield from services(settings.services)


def python() -> Finding:
    """Say which Python this is."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        return Finding(name="python", status="ok", message=f"Python {version}")
    return Finding(
        name="python",
        status="fail",
        message=f"Python {version} is too old",
        fix="install Python 3.11 or later",
    )


def profile(settings: Settings) -> Finding:
    """Say whether the profile can be had."""
    missing = [
        f"ENCOLA_{name.upper()}" for name in ("redis_url", "amqp_url") if getattr(settings, name) is None
    ]
    if settings.profile != "distributed" or not missing:
        return Finding(name="profile", status="ok", message=settings.profile)
    return Finding(
        name="profile",
        status="fail",
        message=f"distributed needs {' and '.join(missing)}",
        fix=f"set {' and '.join(missing)}, or ENCOLA_PROFILE=embedded",
    )


def front_door(settings: Settings) -> Finding:
    """Say whether strangers could come in."""
    try:
        check_front_door(settings)
    except InvalidSettings as error:
        return Finding(name="front door", status="fail", message=str(error), fix="set ENCOLA_HOST=127.0.0.1")
    return Finding(name="front door", status="ok", message=f"{settings.host}, this machine only")


def sqlite() -> Finding:
    """Say whether this Python's SQLite can do what we need."""
    version = sqlite3.sqlite_version
    fix = "install a Python whose SQLite is 3.35 or later, with FTS5"
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return Finding(name="sqlite", status="fail", message=f"SQLite {version} is too old", fix=fix)
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE texts USING fts5(text)")
    except sqlite3.OperationalError:
        return Finding(name="sqlite", status="fail", message=f"SQLite {version} has no FTS5", fix=fix)
    finally:
        connection.close()
    return Finding(name="sqlite", status="ok", message=f"SQLite {version} with FTS5")


def data_folder(folder: Path) -> Finding:
    """Say whether the data folder can be written, or made."""
    place = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding(
            name="data folder",
            status="fail",
            message=f"{folder} cannot be written ({error.strerror})",
            fix="set ENCOLA_DATA_DIR to a folder that can",
        )
    state = "can be written" if place == folder else "will be made at the first start"
    return Finding(name="data folder", status="ok", message=f"{folder} {state}")


def free_space(folder: Path) -> Finding:
    """Say how much room there is for data."""
    try:
        free = shutil.disk_usage(_nearest(folder)).free
    except OSError as error:
        return Finding(name="free space", status="warn", message=f"unknown ({error.strerror})")
    status: Literal["ok", "warn", "fail"] = "ok"
    if free < LITTLE_SPACE:
        status = "fail" if free < TOO_LITTLE_SPACE else "warn"
    return Finding(
        name="free space",
        status=status,
        message=f"{free / 1024**3:.1f} GiB",
        fix="" if status == "ok" else "make room, or set ENCOLA_DATA_DIR to another disk",
    )


def folder_lock(folder: Path, server: Server | None) -> Finding:
    """Say whether a process holds the data folder."""
    try:
        lock = (folder / "encola.lock").open()
    except OSError:
        return Finding(name="folder lock", status="ok", message="free")
    with lock:
        holder = lock.read().strip() or "unknown"
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _held(holder, server)
    return Finding(name="folder lock", status="ok", message="free")


def port(settings: Settings, server: Server) -> Finding:
    """Say whether the port can be listened on."""
    try:
        listener = take_port(settings.host, settings.port)
    except InvalidSettings as error:
        if server.is_encola:
            return Finding(name="port", status="ok", message=f"{settings.port}, Encola listens on it")
        return Finding(
            name="port", status="fail", message=str(error), fix="stop what listens there, or set ENCOLA_PORT"
        )
    except (socket.gaierror, OverflowError):
        message = f"{settings.host} is not an address of this machine"
        return Finding(name="port", status="fail", message=message, fix="set ENCOLA_HOST=127.0.0.1")
    listener.close()
    return Finding(name="port", status="ok", message=f"{settings.port} is free")


def running_server(server: Server) -> Finding:
    """Say whether the server runs, is well, and agrees with us about the time."""
    if server.answer is None:
        message = f"none at {server.url}; `encola dev` starts one"
        return Finding(name="server", status="ok", message=message)
    if not server.is_encola:
        return Finding(
            name="server",
            status="fail",
            message=f"{server.url} answers HTTP {server.answer.status_code} to /health",
            fix="read its log, or correct ENCOLA_PORT",
        )
    skew = _skew(server.answer)
    if abs(skew) > SKEW_SECONDS:
        message = f"the clock of {server.url} differs from ours by {skew:+.0f} s"
        return Finding(name="server", status="warn", message=message, fix="set both clocks by NTP")
    return Finding(name="server", status="ok", message=f"{server.url} is well")


def services(bases: dict[str, str]) -> Iterable[Finding]:
    """Say whether each registered service answers; they are asked side by side."""
    with ThreadPoolExecutor(max_workers=16) as threads:
        yield from threads.map(_service, bases, bases.values())


def _service(name: str, base: str) -> Finding:
    title, shown = f"service {name}", masked(base)
    fix = f"start it, or correct ENCOLA_SERVICES__{name.upper()}"
    answer = _ask(base)
    if answer is None:
        message = f"{shown} does not answer within {ANSWER_SECONDS:.0f} s"
        return Finding(name=title, status="fail", message=message, fix=fix)
    if answer.is_success:
        return Finding(name=title, status="ok", message=f"{shown} is well")
    status: Literal["warn", "fail"] = "fail" if answer.status_code >= 500 else "warn"
    message = f"{shown} answers HTTP {answer.status_code} to /health"
    return Finding(name=title, status=status, message=message, fix=fix)


def _held(holder: str, server: Server | None) -> Finding:
    if server is not None and server.is_encola:
        message = f"held by the running Encola (process {holder})"
        return Finding(name="folder lock", status="ok", message=message)
    return Finding(
        name="folder lock",
        status="warn",
        message=f"another process holds the folder (process {holder})",
        fix="stop it, or set ENCOLA_DATA_DIR to another folder, before you start one here",
    )


def _ask(base: str) -> httpx.Response | None:
    """Ask for health; ``None`` says that no answer came in time."""
    try:
        return httpx.get(f"{base.rstrip('/')}/health", timeout=ANSWER_SECONDS, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


def _skew(answer: httpx.Response) -> float:
    """Return how many seconds their clock is ahead; 0 when they do not say."""
    try:
        theirs = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return 0.0
    return (theirs - datetime.now(UTC)).total_seconds()


def _nearest(folder: Path) -> Path:
    """Return the folder, or what of its path there is already."""
    return next((place for place in (folder, *folder.absolute().parents) if os.path.lexists(place)), folder)
