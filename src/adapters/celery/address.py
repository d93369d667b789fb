"""Where the broker is, as publishers and workers each want it spelt."""

import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

from encola.domain.errors import InvalidSettings

HEARTBEAT_SECONDS: Final = 10
"""What a publisher asks for; a peer that is silent for three of them is gone."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """An AMQP URL, ``amqp://user:password@host:port/vhost`` or ``amqps://…`` for TLS.

    The certificate of a TLS broker is checked against the system's authorities, or those in the file
    ``?cafile=…``; ``certfile`` and ``keyfile`` name our own, ``no_verify_ssl=1`` checks nothing.
    """

    _parts: SplitResult

    @classmethod
    def parse(cls, url: str) -> "BrokerAddress":
        """Read the URL.

        :raises InvalidSettings: it is not one of AMQP; the message does not repeat it
        """
        try:
            parts = urlsplit(url)
            is_amqp = parts.scheme in ("amqp", "amqps") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_amqp = False
        if not is_amqp:
            raise InvalidSettings("The URL of the broker must look like amqp://user:password@host:5672/.")
        return cls(parts)

    @property
    def place(self) -> str:
        """Return host and port, which may be logged."""
        return f"{self._parts.hostname}:{self._parts.port or (5671 if self.is_tls else 5672)}"

    @property
    def is_tls(self) -> bool:
        """Tell whether the connection is encrypted."""
        return self._parts.scheme == "amqps"

    @property
    def for_publisher(self) -> str:
        """Return the URL for aiormq."""
        options = {"heartbeat": [str(HEARTBEAT_SECONDS)], **self._options}
        return self._parts._replace(query=urlencode(options, doseq=True)).geturl()

    @property
    def for_worker(self) -> str:
        """Return the URL for Celery, which wants what is about TLS apart."""
        return self._parts._replace(query="").geturl()

    @property
    def tls_for_worker(self) -> dict[str, Any] | None:
        """Return Celery's ``broker_use_ssl``."""
        if not self.is_tls:
            return None
        files = {"ca_certs": "cafile", "certfile": "certfile", "keyfile": "keyfile"}
        given = {name: self._option(option) for name, option in files.items()}
        named = {name: path for name, path in given.items() if path is not None}
        if self._option("no_verify_ssl") in (None, "0"):
            return {**named, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": self._parts.hostname}
        return {**named, "cert_reqs": ssl.CERT_NONE}

    @property
    def _options(self) -> dict[str, list[str]]:
        return parse_qs(self._parts.query)

    def _option(self, name: str) -> str | None:
        return self._options.get(name, [None])[-1]
