"""The running server, as the commands reach it: HTTP and nothing else."""

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from encola.entrypoints.cli.failures import CommandFailed, Unreachable
from encola.entrypoints.settings import load_settings

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
# The server breaks every silence after 15 s.
STREAM_TIMEOUT = httpx.Timeout(45.0, connect=5.0)


class Remote:
    """A server, in the name of one tenant."""

    def __init__(
        self, url: str, *, tenant: str | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        address = _address(url)
        self.shown_url = str(address.copy_with(userinfo=b"")).rstrip("/")
        headers = {"Accept": "application/json", **({"X-Tenant-ID": tenant} if tenant else {})}
        self._client = httpx.Client(
            base_url=address,
            headers=headers,
            timeout=TIMEOUT,
            transport=transport,
            trust_env=not _is_loopback(address.host),  # a proxy cannot reach this machine's loopback
        )

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON at ``path``.

        :raises CommandFailed: the server refused, with its message
        :raises Unreachable: there is no answer, or none now
        """
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Send JSON and return the answer's.

        :raises CommandFailed: the server refused, with its message
        :raises Unreachable: there is no answer, or none now
        """
        return self._ask("POST", path, json=body, headers=headers)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Open a stream of events; reading it raises like opening it.

        :raises CommandFailed: the server refused, with its message
        :raises Unreachable: there is no answer, or it broke off
        """
        asked = {"Accept": "text/event-stream", **headers}
        with (
            self._translated(),
            self._client.stream("GET", path, headers=asked, timeout=STREAM_TIMEOUT) as answer,
        ):
            if not answer.is_success:
                answer.read()
                raise self._refusal(answer)
            yield answer

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        with self._translated():
            answer = self._client.request(method, path, **request)
        if not answer.is_success:
            raise self._refusal(answer)
        try:
            return answer.json()
        except ValueError:
            raise self._stranger(answer) from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            message = f"No server answers at {self.shown_url}; start one with `encola dev`."
            raise Unreachable(message, code="no_server") from None
        except httpx.TimeoutException:
            raise Unreachable(f"{self.shown_url} did not answer in time.", code="timeout") from None
        except httpx.HTTPError as error:
            raise Unreachable(f"The connection to {self.shown_url} broke: {error}.") from None

    def _refusal(self, answer: httpx.Response) -> CommandFailed:
        try:
            problem = answer.json()
            message, code = _message_of(problem), str(problem.get("code", "refused"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._stranger(answer)
        if answer.status_code >= 500 or answer.status_code == 429:
            return Unreachable(message, code=code)
        return CommandFailed(message, code=code)

    def _stranger(self, answer: httpx.Response) -> CommandFailed:
        """Explain an answer that Encola does not give: a gateway's, or another program's."""
        if answer.status_code in (429, 502, 503, 504):
            return Unreachable(f"{self.shown_url} is unavailable: HTTP {answer.status_code}.")
        return CommandFailed(
            f"{self.shown_url} does not answer like Encola: HTTP {answer.status_code}.", code="not_encola"
        )


def connect(url: str | None, tenant: str | None = None) -> Remote:
    """Return the server that was named, or this machine's.

    :raises CommandFailed: the URL cannot be one
    """
    return Remote(url or default_url(), tenant=tenant)


def default_url() -> str:
    """Return where ``encola dev`` listens with the present settings.

    :raises CommandFailed: the settings leave that open
    """
    settings = load_settings()
    if settings.port == 0:
        raise CommandFailed("ENCOLA_PORT=0 takes any free port: name the server with --url.", code="no_url")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise CommandFailed("The server's URL must be like http://127.0.0.1:8000.", code="usage", exit_code=2)
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _message_of(problem: dict[str, Any]) -> str:
    """Return the message, and what of the first errors it does not say itself."""
    message = str(problem["message"])
    details = [f"{error['pointer']}: {error['message']}" for error in problem.get("errors") or ()]
    unsaid = "; ".join(detail for detail in details[:3] if detail not in message)
    return f"{message} {unsaid}".rstrip()


def path_part(text: str) -> str:
    """Return ``text`` so that it stays one part of a path, whatever is in it."""
    return quote(text, safe="")
