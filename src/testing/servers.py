"""Private Redis and RabbitMQ servers, for tests, benchmarks and trying things out.

They are started from the installed binaries, on free ports of the loopback interface, with their data
in a folder of the caller's. Nothing of the machine's own services is used or touched, and nothing is
left running when the Python that started them ends, however it ends.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from encola.testing.loopback import HOST, free_ports
from encola.testing.private_server import PrivateServer, ServerFailed, ServersMissing
from encola.testing.process_group import ProcessGroup

__all__ = ["RabbitServer", "RedisServer", "ServerFailed", "ServersMissing"]

# Debian's command of this name becomes the user rabbitmq, who may not write into our folder.
_SCRIPTS: Final = "/usr/lib/rabbitmq/bin"
_ADMINISTRATORS: Final = "/usr/local/sbin:/usr/sbin:/opt/homebrew/sbin"


class RedisServer(PrivateServer):
    """A Redis, or Valkey where only that is installed, that keeps everything in an append-only file.

    :param folder: for its data and log
    :param port: instead of a free one
    :param fsync: ``always`` answers a write when it is on disk, ``everysec`` may lose a second
    :param options: further settings of ``redis.conf``
    :param executable: instead of the one on the ``PATH``
    :raises ServersMissing: it is not installed
    """

    start_seconds = 30.0

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        fsync: Literal["always", "everysec"] = "always",
        options: Mapping[str, str] | None = None,
        executable: Path | None = None,
    ) -> None:
        self.executable = _found(
            executable or _which("redis-server") or _which("valkey-server"),
            "Redis is not installed: install the package redis-server (or valkey-server)",
        )
        super().__init__(folder, port=port or free_ports(1)[0])
        self._settings = {
            "port": str(self.port),
            "bind": HOST,
            "dir": str(self._data),
            "appendonly": "yes",
            "appendfsync": fsync,
            "save": "",
            "maxmemory-policy": "noeviction",
            **(options or {}),
        }

    @property
    def url(self) -> str:
        """Return the URL of database 0."""
        return f"redis://{HOST}:{self.port}/0"

    def _launch(self, group: ProcessGroup) -> subprocess.Popen[bytes]:
        settings = [part for name, value in self._settings.items() for part in (f"--{name}", value)]
        command: list[str | Path] = [self.executable, *settings]
        return group.start(command, environment=os.environ, log=self.log)

    def _answers(self) -> bool:
        # While it reads its file it answers -LOADING.
        return self._ask(b"PING\r\n", 5) == b"+PONG"


class RabbitServer(PrivateServer):
    """A RabbitMQ of one node, with the user ``guest`` and without plugins.

    :param folder: for its data, log and settings
    :param port: for AMQP, instead of a free one
    :param options: lines of ``rabbitmq.conf``, such as ``consumer_timeout`` in milliseconds
    :param executable: the script ``rabbitmq-server`` itself, not a wrapper that changes the user
    :raises ServersMissing: it is not installed
    """

    # It takes 3 to 5 s on an idle machine.
    start_seconds = 60.0

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        options: Mapping[str, str] | None = None,
        executable: Path | None = None,
    ) -> None:
        missing = "RabbitMQ is not installed: install the package rabbitmq-server"
        self.executable = _found(executable or _which("rabbitmq-server", before=_SCRIPTS), missing)
        self._epmd = _found(_which("epmd"), missing)
        amqp, self._node_port, self._names_port = free_ports(3)
        super().__init__(folder, port=port or amqp)
        self._options = dict(options or {})

    @property
    def url(self) -> str:
        """Return the URL of the virtual host ``/``."""
        return f"amqp://guest:guest@{HOST}:{self.port}/"

    def ctl(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` against this server and return what it printed, tables without a head.

        It takes half a second, and is given up after ``start_seconds``.

        :raises ServerFailed: the command failed
        """
        command = [str(self.executable.with_name("rabbitmqctl")), "--silent", *arguments]
        try:
            return subprocess.run(
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=self._environment(),
                cwd=self.folder,
                timeout=self.start_seconds,
            ).stdout
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise ServerFailed(f"rabbitmqctl {arguments[0]} failed:\n{error.output}") from error

    def _launch(self, group: ProcessGroup) -> subprocess.Popen[bytes]:
        self._write_settings()
        environment = self._environment()
        # Erlang would start its register of names as a daemon, out of the group and beyond our reach.
        group.start([self._epmd], environment=environment, log=self.log)
        command: list[str | Path] = [self.executable, "-noinput", "-start_epmd", "false"]
        return group.start(command, environment=environment, log=self.log)

    def _write_settings(self) -> None:
        options = "".join(f"{name} = {value}\n" for name, value in self._options.items())
        (self.folder / "rabbitmq.conf").write_text(options)
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "rabbitmq-env.conf").write_text("")

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))
        }
        return {
            **inherited,
            # Erlang keeps the cookie there that nodes and commands know each other by.
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._names_port),
            # The data belong to the name; the register of names is this server's own, so it needs no number.
            "RABBITMQ_NODENAME": "encola@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # The script then becomes the server instead of watching over it, so that signals meet the server.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_MNESIA_BASE": str(self._data),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(self._data / "feature_flags"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
        }

    def _answers(self) -> bool:
        # A frame of type 1 with method 10 of class 10: Connection.Start, after which a client may log in.
        answer = self._ask(b"AMQP\x00\x00\x09\x01", 11)
        return answer[:1] == b"\x01" and answer[7:] == b"\x00\x0a\x00\x0a"


def _which(command: str, *, before: str = "") -> Path | None:
    places = [before, os.environ.get("PATH", os.defpath), _ADMINISTRATORS]
    path = shutil.which(command, path=os.pathsep.join(filter(None, places)))
    return Path(path) if path else None


def _found(executable: Path | None, missing: str) -> Path:
    if executable is None or not os.access(executable, os.X_OK):
        raise ServersMissing(missing)
    return executable
