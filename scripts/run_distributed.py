"""Try the distributed profile on this machine: Redis, RabbitMQ, demo services, two APIs and two workers.

What they keep is in ``ENCOLA_DATA_DIR``/distributed, and there again at the next start.
"""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encola.domain.errors import EncolaError
from encola.entrypoints.demo_server import DEMO_HOST, serving_demo, with_demo_services
from encola.entrypoints.facade import Encola
from encola.entrypoints.log_lines import log_to_stderr
from encola.entrypoints.server import take_port
from encola.entrypoints.settings import Settings, load_settings
from encola.testing.loopback import free_ports, is_free
from encola.testing.private_server import PrivateServer
from encola.testing.process_group import ProcessGroup
from encola.testing.servers import RabbitServer, RedisServer, ServerFailed, ServersMissing

APIS = 2
WORKERS = 2
READY_SECONDS = 60.0
END_SECONDS = 20.0
LOOK_SECONDS = 0.1
COMMAND = (sys.executable, "-m", "encola.entrypoints.cli.main")


class Failed(Exception):
    """It cannot start or go on; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process of Encola, and the file with what it prints."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> dict[str, Any]:
        """Return the last JSON that it printed: that it is ready, or why it ended."""
        lines = [line for line in self.log.read_text().splitlines(keepends=True) if line.startswith("{")]
        return dict(json.loads(lines[-1])) if lines and lines[-1].endswith("\n") else {}

    def check(self) -> None:
        """Return if it runs.

        :raises Failed: it ended
        """
        code = self.process.poll()
        if code is not None:
            error = self.said().get("error", {"message": "it gave no reason."})
            raise Failed(f"{self.name} ended with code {code}: {error['message']} Its log: {self.log}")


class Children:
    """The processes of Encola on this machine.

    :param folder: for their logs, of which each start begins new ones
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        # Apart from ours, so that a Ctrl-C reaches us alone, and we end them in order.
        self._group = ProcessGroup(Path.cwd())
        self._all: list[Child] = []

    def start(self, name: str, kind: str, **environment: str) -> Child:
        """Start ``encola <kind>``."""
        log = self._folder / f"{name}.log"
        log.write_bytes(b"")
        process = self._group.start(
            [*COMMAND, kind, "--json"], environment={**self._environment, **environment}, log=log
        )
        child = Child(name, process, log)
        self._all.append(child)
        return child

    def check(self) -> None:
        """Return if all of them run.

        :raises Failed: one ended
        """
        for child in self._all:
            child.check()

    @property
    def unready(self) -> list[str]:
        """Return the names of those that have not said yet that they are ready."""
        return [child.name for child in self._all if "pid" not in child.said()]

    async def end(self, children: Sequence[Child], seconds: float) -> None:
        """Ask them to end, all at once, and wait so long for them."""
        for child in children:
            child.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            for child in children:
                await asyncio.to_thread(child.process.wait, seconds)

    def kill(self) -> None:
        """Kill what has not ended."""
        self._group.kill()


async def run(settings: Settings, stopping: asyncio.Event) -> None:
    """Run everything until told to stop.

    :raises Failed: a process did not start, or ended
    """
    folder = settings.data_dir.absolute() / "distributed"
    folder.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        stack.enter_context(held(folder))
        services = await stack.enter_async_context(demo(settings, folder))
        redis = RedisServer(folder / "redis", port=kept_port(folder / "redis"))
        rabbit = RabbitServer(folder / "rabbitmq", port=kept_port(folder / "rabbitmq"))
        servers = {"Redis": redis, "RabbitMQ": rabbit}
        for server in servers.values():
            stack.push_async_callback(asyncio.to_thread, server.stop)
            await asyncio.to_thread(server.start)
        children = Children(
            folder,
            {
                **os.environ,
                **services,
                "ENCOLA_PROFILE": "distributed",
                "ENCOLA_REDIS_URL": redis.url,
                "ENCOLA_AMQP_URL": rabbit.url,
            },
        )
        stack.callback(children.kill)
        ports = [settings.port and settings.port + number for number in range(APIS)]
        apis = [children.start(f"api-{n}", "api", ENCOLA_PORT=str(port)) for n, port in enumerate(ports, 1)]
        workers = [children.start(f"worker-{n}", "worker") for n in range(1, WORKERS + 1)]
        stack.push_async_callback(children.end, apis, END_SECONDS)
        stack.push_async_callback(children.end, workers, settings.drain_seconds + END_SECONDS)
        await until_ready(children, stopping)
        if not stopping.is_set():
            say_ready([api.said()["url"] for api in apis], folder, servers)
        await until_told(children, servers, stopping)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep others from using the folder.

    :raises Failed: somebody uses it
    """
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"{folder} is in use: stop the other one, or set ENCOLA_DATA_DIR.") from None
        yield


@asynccontextmanager
async def demo(settings: Settings, folder: Path) -> AsyncIterator[dict[str, str]]:
    """Serve the demo services in this process; yield the variables that lead to them."""
    with take_port(DEMO_HOST, 0) as listener:
        chosen = with_demo_services(settings, listener)
        # The demo's agent calls the demo's query service; for that alone nothing need be kept.
        app = Encola(settings=chosen.model_copy(update={"profile": "memory"}))
        try:
            await app.runtime.open()
            async with serving_demo(chosen, listener, folder, app.use_cases.call_service):
                yield {f"ENCOLA_SERVICES__{name.upper()}": url for name, url in chosen.services.items()}
        finally:
            await app.runtime.stop()


def kept_port(folder: Path) -> int:
    """Return the port of the last start, for RabbitMQ keeps its data under it; another if it is taken."""
    folder.mkdir(exist_ok=True)
    note = folder / "port"
    if note.exists() and is_free(port := int(note.read_text())):
        return port
    [port] = free_ports(1)
    note.write_text(str(port))
    return port


async def until_ready(children: Children, stopping: asyncio.Event) -> None:
    """Wait until all children are ready, or we are told to stop.

    :raises Failed: one ended, or took too long
    """
    try:
        async with asyncio.timeout(READY_SECONDS):
            while children.unready and not stopping.is_set():
                children.check()
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        names = " and ".join(children.unready)
        raise Failed(f"{names} did not get ready within {READY_SECONDS:.0f} s; the logs say more.") from None


async def until_told(
    children: Children, servers: Mapping[str, PrivateServer], stopping: asyncio.Event
) -> None:
    """Wait until we are told to stop.

    :raises Failed: a process ended before
    """
    while not stopping.is_set():
        children.check()
        for name, server in servers.items():
            if not server.is_running:
                raise Failed(f"{name} ended: its log is {server.log}")
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await stopping.wait()


def say_ready(urls: Sequence[str], folder: Path, servers: Mapping[str, PrivateServer]) -> None:
    """Tell where everything is."""
    print(f"Encola is ready: {' and '.join(urls)}")
    print(f"Servers: {', '.join(f'{name} on port {server.port}' for name, server in servers.items())}")
    print(f"Data and logs: {folder}")
    print("Stop: Ctrl-C", flush=True)


async def main() -> int:
    """Return the exit code."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        settings = load_settings()
        log_to_stderr(settings.log_level)
        await run(settings, stopping)
    except (Failed, ServersMissing, ServerFailed, EncolaError, OSError) as error:
        print(f"run-distributed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
