"""Which services may be called, and under which addresses."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from encola.domain.errors import InvalidSettings, UnknownService

ADDRESSES_REMEMBERED: Final = 1024

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_PRINTABLE = re.compile(r"[!-~]+", re.ASCII)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII)
_DOTS = frozenset({".", ".."})
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class _Base:
    url: str
    origin: tuple[str, str, int]
    path: str

    def rest_of(self, origin: tuple[str, str, int], path: str) -> str | None:
        if origin != self.origin or not (path == self.path or path.startswith(f"{self.path}/")):
            return None
        return path[len(self.path) :] or "/"


class ServiceAddresses:
    """The registered services by name; nothing else can be reached.

    A requested URL is only compared. What is sent is always a registered base and a checked path, so
    that no two parsers can disagree about where it goes.

    :raises InvalidSettings: a name or a base URL cannot be used
    """

    def __init__(self, services: Mapping[str, str]) -> None:
        self._bases = {name: _base_of(name, url) for name, url in services.items()}
        # Checking a path costs more than the rest of preparing a call.
        self._url = lru_cache(ADDRESSES_REMEMBERED)(self._build)
        self._resolve = lru_cache(ADDRESSES_REMEMBERED)(self._find)

    def url(self, service: str, path: str) -> str:
        """Return the address of ``path`` at a service.

        :raises UnknownService: nobody registered the service, or the path could lead out of it
        """
        return self._url(service, path)

    def resolve(self, url: str) -> tuple[str, str]:
        """Return the service and the path that ``url`` means.

        :raises UnknownService: it is neither ``name``, ``name/path`` nor a URL below a base
        """
        return self._resolve(url)

    def _build(self, service: str, path: str) -> str:
        base = self._bases.get(service)
        if base is None:
            raise self._unknown(service)
        _check_path(path)
        return base.url + path

    def _find(self, url: str) -> tuple[str, str]:
        service, path = self._resolve_absolute(url) if "://" in url else self._resolve_name(url)
        _check_path(path)
        return service, path

    def _resolve_name(self, url: str) -> tuple[str, str]:
        name, slash, path = url.partition("/")
        if name not in self._bases:
            raise self._unknown(name)
        return name, f"/{path}" if slash else "/"

    def _resolve_absolute(self, url: str) -> tuple[str, str]:
        parts = _split(url)
        if parts is None or parts.fragment or "#" in url:
            raise self._unknown("")
        matches = sorted(self._matches(_origin(parts), parts.path), key=lambda match: len(match[1]))
        if not matches:
            raise self._unknown("")
        service, path = matches[0]
        return service, f"{path}?{parts.query}" if parts.query else path

    def _matches(self, origin: tuple[str, str, int], path: str) -> Iterator[tuple[str, str]]:
        for name, base in self._bases.items():
            rest = base.rest_of(origin, path)
            if rest is not None:
                yield name, rest

    def _unknown(self, name: str) -> UnknownService:
        # What was asked for is repeated only when it looks like a name: a URL may hold a secret.
        asked = f"called {name!r}" if _NAME.fullmatch(name) else "at this address"
        known = ", ".join(sorted(self._bases)) or "none"
        return UnknownService(f"There is no service {asked}; registered are: {known}.")


def _base_of(name: str, url: str) -> _Base:
    if not _NAME.fullmatch(name):
        raise InvalidSettings(f"The service name {name!r} must be 1 to 64 of a-z 0-9 _ -.")
    trimmed = url.rstrip("/")
    parts = _split(trimmed)
    if parts is None or parts.query or parts.fragment or "#" in url or "?" in url:
        raise InvalidSettings(
            f"The base URL of the service {name!r} must be http:// or https://, a host and perhaps a path."
        )
    try:
        _check_path(parts.path or "/")
    except UnknownService as error:
        raise InvalidSettings(f"The base URL of the service {name!r} has an unusable path.") from error
    return _Base(trimmed, _origin(parts), parts.path)


def _split(url: str) -> SplitResult | None:
    """Return the parts of an absolute HTTP URL without userinfo, or ``None``."""
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _DEFAULT_PORTS and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if usable and "@" not in parts.netloc else None


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return parts.scheme, parts.hostname or "", port


def _check_path(path: str) -> None:
    if not path.startswith("/") or not _PRINTABLE.fullmatch(path):
        raise UnknownService("A path must begin with / and hold only printable ASCII.")
    place = path.partition("?")[0]
    if "#" in path or "\\" in path or "//" in place or _BROKEN_ESCAPE.search(place):
        raise UnknownService("A path must hold no fragment, backslash, empty segment or broken escape.")
    if any(_leads_astray(segment) for segment in place.split("/")[1:]):
        raise UnknownService("A path must hold no dot segment and no escaped slash, however it is spelt.")


def _leads_astray(segment: str) -> bool:
    """Tell whether any reader, decoding once or often, could take the segment for more than a name."""
    while True:
        # Some servers drop what follows a semicolon, and then see the dots.
        if segment.partition(";")[0] in _DOTS or not segment.isprintable() or {"/", "\\"} & set(segment):
            return True
        decoded = unquote(segment)
        if decoded == segment:
            return False
        segment = decoded
