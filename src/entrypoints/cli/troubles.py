"""Why a server could not be asked, in words that give no secret away."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import NamedTuple
from urllib.parse import urlsplit

from encola.entrypoints.cli.findings import Finding


class Trouble(NamedTuple):
    """What an exception means; a server's own words are not repeated, since they may name the user."""

    kind: type[BaseException]
    message: str
    fix: str


async def examined(
    name: str,
    url: str,
    questions: AsyncGenerator[Finding, None],
    troubles: Sequence[Trouble],
    *,
    seconds: float,
) -> list[Finding]:
    """Return the answers to the questions, up to the first trouble or the deadline."""
    found: list[Finding] = []
    try:
        async with asyncio.timeout(seconds), aclosing(questions):
            async for finding in questions:
                found.append(finding)  # noqa: PERF401 - one by one, so that a trouble loses none
    except tuple(trouble.kind for trouble in troubles) as error:
        found.append(_finding(name, place_of(url), error, troubles))
    return found


def place_of(url: str) -> str:
    """Return the host and port of a URL, or the path of its socket, and nothing that could be a secret.

    A password with a ``/`` that nobody escaped looks like a host and a path: then nothing is shown.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "the given address"
    if "@" in parts.path + parts.query + parts.fragment:
        return "the given address"
    if host is None:
        return parts.path or "the given address"
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _finding(name: str, place: str, error: BaseException, troubles: Sequence[Trouble]) -> Finding:
    """Return the first trouble that the error is, or that led to it."""
    causes = tuple(_causes(error))
    trouble = next(each for each in troubles if any(isinstance(cause, each.kind) for cause in causes))
    return Finding(name=name, status="fail", message=f"{place} {trouble.message}", fix=trouble.fix)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what led to it; where one was raised twice, they can lead to each other."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__
