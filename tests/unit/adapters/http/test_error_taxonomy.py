"""Whatever a transport brings has one meaning, can be written down, and tells the log no secret."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from encola.adapters.http import HttpServiceCaller
from encola.adapters.memory import InMemoryCircuitBoard, InMemoryMetrics, SeededIds
from encola.adapters.telemetry import ChildIds
from encola.domain.context import ExecutionContext
from encola.domain.policy import OperationPolicy, Repeat
from encola.domain.service import CallMeta, ServiceCall, ServiceError, ServiceResult
from encola.testing.builders import ACME
from encola.testing.strategies import json_values

CLIENT_ERRORS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    410: "gone",
    413: "payload_too_large",
    422: "unprocessable",
    429: "rate_limited",
}
UNUSABLE = {"invalid_response", "response_too_large"}
CODES = {*CLIENT_ERRORS.values(), *UNUSABLE, "upstream_error", "upstream_unavailable"}
REASONS = {None, "attempts", "not_idempotent", "deadline", "budget"}
TRANSPORT_ERRORS = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.WriteError,
    httpx.WriteTimeout,
    httpx.CloseError,
    httpx.LocalProtocolError,
    httpx.RemoteProtocolError,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.DecodingError,
    httpx.TooManyRedirects,
)


@dataclass(frozen=True)
class Scene:
    """What a transport does: it answers, or breaks at the start or in the middle of an answer."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    pieces: tuple[bytes, ...] = ()
    error: Exception | None = None
    answers_first: bool = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.error is not None and not self.answers_first:
            raise self.error
        return httpx.Response(self.status, headers=list(self.headers), content=self._body())

    async def _body(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.error is not None:
            raise self.error


def bodies() -> st.SearchStrategy[bytes]:
    envelopes = st.fixed_dictionaries(
        {"success": st.booleans() | json_values(2)},
        optional={
            "data": json_values(),
            "error": json_values()
            | st.fixed_dictionaries(
                {},
                optional={
                    "code": json_values(2),
                    "message": json_values(2),
                    "retryable": json_values(2),
                    "details": json_values(),
                },
            ),
        },
    )
    texts = (json_values() | envelopes).map(json.dumps)
    lines = st.lists(texts, max_size=4).map("\n".join)
    return st.binary(max_size=60) | texts.map(str.encode) | lines.map(str.encode)


def headers() -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(str.strip)
    usual = {
        "content-type": ["application/json", "application/x-ndjson", "text/html; charset=x", ""],
        "content-encoding": ["identity", "gzip", "br, identity"],
        "retry-after": ["0", "-1", "99999999999999", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "1e999"],
        "date": ["Wed, 21 Oct 2015 07:28:00 GMT", "never", "Fri, 31 Dec 9999 23:59:59 -1200"],
        "content-length": ["0", "5", "-1"],
        "location": ["http://evil.test/"],
    }
    pairs = st.sampled_from(sorted(usual)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(usual[name]) | visible)
    )
    return st.lists(pairs, max_size=4, unique_by=lambda pair: pair[0]).map(tuple)


def errors() -> st.SearchStrategy[Exception]:
    said = st.text(max_size=20) | st.just("Server disconnected without sending a response.")
    causes = st.none() | st.just(ssl.SSLCertVerificationError("x")) | st.just(OSError(104, "reset"))

    def raised(kind: type[httpx.RequestError], text: str, cause: BaseException | None) -> Exception:
        error = kind(text)
        error.__cause__ = cause
        return error

    return st.builds(raised, st.sampled_from(TRANSPORT_ERRORS), said, causes)


def scenes() -> st.SearchStrategy[Scene]:
    return st.builds(
        Scene,
        status=st.integers(200, 599),
        headers=headers(),
        pieces=bodies().flatmap(in_pieces),
        error=st.none() | errors(),
        answers_first=st.booleans(),
    )


def in_pieces(body: bytes) -> st.SearchStrategy[tuple[bytes, ...]]:
    return st.integers(1, max(1, len(body))).map(
        lambda size: tuple(body[start : start + size] for start in range(0, len(body), size))
    )


def caller_of(scene: Scene) -> HttpServiceCaller:
    return HttpServiceCaller(
        {"query": "http://query.test/base"},
        httpx.MockTransport(scene),
        chance=lambda: 0.0,
        metrics=InMemoryMetrics(),
        board=InMemoryCircuitBoard(),
        telemetry=ChildIds(SeededIds().random_hex),
    )


def made(scene: Scene, **changes: Any) -> ServiceResult:
    fields: dict[str, Any] = {
        "service": "query",
        "path": "/internal/query",
        "operation": OperationPolicy(name="reading", timeout=5.0, repeat=Repeat.SAFE),
        "context": ExecutionContext(tenant_id=ACME),
    }
    return asyncio.run(caller_of(scene).call(ServiceCall(**{**fields, **changes})))


def expected(scene: Scene) -> set[str]:
    """Return the codes that an answer of this status may have; an empty one is success."""
    if 200 <= scene.status < 300:
        return {"", "upstream_error", *UNUSABLE}
    if 300 <= scene.status < 400:
        return {"invalid_response"}
    if scene.status < 500:
        return {CLIENT_ERRORS.get(scene.status, "bad_request")}
    return {"upstream_unavailable" if scene.status in (502, 503, 504) else "upstream_error"}


def is_compressed(scene: Scene) -> bool:
    encoding = httpx.Headers(list(scene.headers)).get_list("content-encoding")
    return any(value.lower() not in ("", "identity") for value in encoding)


@given(scenes())
@example(Scene(pieces=(b"1e999",)))
@example(Scene(pieces=(b'{"success": false, "error": {"details": {"a": -1e999}}}',)))
@example(Scene(pieces=(b'{"success": true, "data": "\\ud800"}',)))
@example(Scene(pieces=(b"9" * 5_000,)))
@example(Scene(pieces=(b"[" * 100_000,)))
@example(Scene(status=429, headers=(("retry-after", "9" * 400),)))
def test_whatever_comes_is_success_or_has_one_code_and_can_be_written_down(scene: Scene) -> None:
    result = made(scene)

    assert result.success is (result.error is None)
    if result.error is not None:
        assert result.error.code in CODES
        assert result.error.retry_stopped_by in REASONS
        assert result.data is None
    assert read_again(result) == dict(result)


@given(scenes().filter(lambda scene: scene.error is None))
def test_the_code_of_an_answer_follows_from_its_status(scene: Scene) -> None:
    result = made(scene)
    code = "" if result.error is None else result.error.code

    assert code in ({"invalid_response"} if is_compressed(scene) else expected(scene))


@given(errors())
def test_the_code_of_a_broken_connection_follows_from_the_error(error: Exception) -> None:
    results = [made(Scene(error=error)) for _ in range(2)]
    codes = {result.error.code for result in results if result.error is not None}

    assert len(codes) == 1
    assert codes <= {"upstream_unavailable", "invalid_response"}


def read_again(result: ServiceResult) -> dict[str, object]:
    """Return the envelope after it went through JSON and was put together anew."""
    read: Any = json.loads(json.dumps(dict(result), allow_nan=False).encode())
    error = read["error"]
    anew = ServiceResult(
        success=read["success"],
        data=read["data"],
        error=None if error is None else ServiceError(**error),
        meta=CallMeta(**read["meta"]),
    )
    return dict(anew)


@contextmanager
def listening() -> Iterator[list[str]]:
    """Give every record of every logger, spelt out."""
    heard: list[str] = []
    formatter = logging.Formatter()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(f"{formatter.format(record)} {record.__dict__}")

    root, listener = logging.getLogger(), Listener(logging.DEBUG)
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.removeHandler(listener)
        root.setLevel(level)


SECRETS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=24, max_size=24).map("sk-{}".format)


def told(secret: str) -> list[Scene]:
    """Return scenes in which the service's part tells the secret wherever it can."""
    body = json.dumps({"success": False, "error": {"message": secret, "code": secret, "details": [secret]}})
    return [
        Scene(
            status=status, headers=(("x-token", secret), ("set-cookie", secret)), pieces=(content.encode(),)
        )
        for status in (200, 302, 401, 503)
        for content in (body, secret)
    ] + [Scene(error=httpx.ReadError(secret)), Scene(error=httpx.RemoteProtocolError(secret))]


@given(SECRETS, st.sampled_from(["POST", "GET"]))
def test_no_record_of_any_logger_tells_what_was_sent_or_answered(secret: str, method: str) -> None:
    for scene in told(secret):
        with listening() as heard:
            made(
                scene,
                method=method,
                path=f"/internal/query?token={secret}",
                data={"password": secret, "query": secret},
                idempotency_key=secret,
            )

        assert heard
        assert [line for line in heard if secret in line] == []


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING])
def test_a_failure_is_one_line_that_says_which_call_and_why(
    level: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(level):
        made(Scene(status=503), attempts=1)

    ours = [record.getMessage() for record in caplog.records if record.name.startswith("encola")]
    assert len(ours) == 1
    assert all(word in ours[0] for word in ("query", "reading", "upstream_unavailable"))
