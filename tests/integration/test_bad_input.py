"""What callers and handlers get wrong: each is told in one sentence, and nothing is lost."""

import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from processes import DevServer
from rest import UNKNOWN, assert_problem, assert_sentence, ended, submitted

JSON = {"Content-Type": "application/json"}
MEBIBYTE = 1024 * 1024


@pytest.fixture(autouse=True)
async def nothing_is_lost(api: httpx.AsyncClient) -> AsyncIterator[None]:
    """After whatever a test did: the server answers, an older job is there, and a new one completes."""
    before = await submitted(api, "noop")
    yield
    for job_id in (before["job_id"], (await ended(api, "sync_steps", {"steps": 2}))["job_id"]):
        job = (await api.get(f"/jobs/{job_id}", params={"wait": 20})).json()
        assert job["status"] == "completed"


BODIES = {
    "cut short": (b'{"type": "noop"', 400, "malformed_json"),
    "no JSON at all": (b"type=noop", 400, "malformed_json"),
    "two values": (b'{"type": "noop"} {}', 400, "malformed_json"),
    "not UTF-8": (b'{"type": "\xff"}', 400, "malformed_json"),
    "empty": (b"", 422, "invalid_request"),
    "a list": (b"[]", 422, "invalid_request"),
    "null": (b"null", 422, "invalid_request"),
    "a wrong type": (b'{"type": 5}', 422, "invalid_request"),
    "a wrong option": (b'{"type": "noop", "retries": "many"}', 422, "invalid_request"),
    "an option out of range": (b'{"type": "noop", "retries": 101}', 422, "invalid_request"),
    "a field nobody knows": (b'{"type": "noop", "colour": "red"}', 422, "invalid_request"),
    "a naive time": (b'{"type": "noop", "run_at": "2030-01-01T00:00:00"}', 422, "invalid_request"),
    "a time too far": (
        b'{"type": "noop", "run_at": "9999-12-31T23:59:59-12:00", "ttl": 9}',
        422,
        "invalid_input",
    ),
    "delay and run_at": (
        b'{"type": "noop", "delay": 1, "run_at": "2026-01-01T00:00:00Z"}',
        422,
        "invalid_input",
    ),
    "NaN": (b'{"type": "echo", "params": NaN}', 422, "not_json"),
    "infinity": (b'{"type": "echo", "params": 1e999}', 422, "not_json"),
    "a key twice": (b'{"type": "echo", "params": {"a": 1, "a": 2}}', 422, "not_json"),
    "a big integer": (b'{"type": "echo", "params": 9007199254740993}', 422, "not_json"),
    "a huge integer": (b'{"type": "echo", "params": ' + b"9" * 5000 + b"}", 422, "not_json"),
    "half a character": (b'{"type": "echo", "params": "\\ud800"}', 422, "not_json"),
    "33 levels": (b'{"type": "echo", "params": ' + b"[" * 32 + b"]" * 32 + b"}", 422, "not_json"),
    "a hundred thousand levels": (b"[" * 100_000 + b"]" * 100_000, 422, "not_json"),
    "an unknown type": (b'{"type": "nonsense"}', 422, "unknown_job_type"),
    "params that do not fit": (b'{"type": "greet", "params": {"name": 1}}', 422, "invalid_params"),
    "large params": (json.dumps({"type": "echo", "params": "x" * 262_145}).encode(), 413, "too_large"),
}


@pytest.mark.parametrize("case", BODIES)
async def test_a_body_that_cannot_be_right_is_refused(api: httpx.AsyncClient, case: str) -> None:
    body, status, code = BODIES[case]

    response = await api.post("/jobs", content=body, headers=JSON)

    assert_problem(response, status, code)


async def test_params_that_do_not_fit_are_named_by_their_place(api: httpx.AsyncClient) -> None:
    body = {"type": "greet", "params": {"times": "often", "name": "Ana"}}

    response = await api.post("/jobs", json=body)

    assert [entry["pointer"] for entry in response.json()["errors"]] == ["/params/times"]


async def test_params_of_just_the_limits_are_taken(api: httpx.AsyncClient) -> None:
    deep = json.loads("[" * 31 + "]" * 31)
    large = "x" * (256 * 1024 - 2)

    assert (await ended(api, "echo", deep))["result"] == deep
    assert (await ended(api, "echo", large))["result"] == large


async def test_another_media_type_is_refused(api: httpx.AsyncClient) -> None:
    for headers in ({"Content-Type": "text/plain"}, {}):
        response = await api.post("/jobs", content=b'{"type": "noop"}', headers=headers)
        assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("size", [MEBIBYTE + 1, 20 * MEBIBYTE])
async def test_a_body_that_is_too_large_is_refused(api: httpx.AsyncClient, size: int) -> None:
    for _ in range(3):
        response = await api.post("/jobs", content=b"x" * size, headers=JSON)
        assert_problem(response, 413, "body_too_large")


async def test_a_body_of_no_announced_length_is_refused_when_it_grows_too_large(
    api: httpx.AsyncClient,
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    response = await api.post("/jobs", content=pieces(), headers=JSON)

    assert "content-length" not in response.request.headers
    assert_problem(response, 413, "body_too_large")


REQUESTS = {
    "an unknown address": ("GET", "/nonsense", 404, "not_found"),
    "an unknown job": ("GET", f"/jobs/{UNKNOWN}", 404, "job_not_found"),
    "what is no job id": ("GET", "/jobs/42", 404, "job_not_found"),
    "a method that is not for it": ("DELETE", "/jobs", 405, "method_not_allowed"),
    "cancelling an unknown job": ("POST", f"/jobs/{UNKNOWN}/cancel", 404, "job_not_found"),
    "retrying an unknown job": ("POST", f"/jobs/{UNKNOWN}/retry", 404, "job_not_found"),
    "events of an unknown job": ("GET", f"/jobs/{UNKNOWN}/events", 404, "job_not_found"),
    "an unknown parameter": ("GET", "/jobs?colour=red", 400, "unknown_parameter"),
    "an unknown parameter of a job": ("GET", f"/jobs/{UNKNOWN}?colour=red", 400, "unknown_parameter"),
    "a cursor of our own making": ("GET", "/jobs?cursor=abc", 400, "invalid_cursor"),
    "a limit that is none": ("GET", "/jobs?limit=0", 400, "invalid_parameter"),
    "a status that is none": ("GET", "/jobs?status=sleeping", 400, "invalid_parameter"),
    "a time without a zone": ("GET", "/jobs?created_after=2026-01-01T00:00:00", 400, "invalid_parameter"),
    "a wait that is no number": ("GET", f"/jobs/{UNKNOWN}?wait=nan", 400, "invalid_parameter"),
    "a since that is none": ("GET", f"/jobs/{UNKNOWN}/events?since=x", 400, "invalid_since"),
}


@pytest.mark.parametrize("case", REQUESTS)
async def test_a_request_that_cannot_be_right_is_refused(api: httpx.AsyncClient, case: str) -> None:
    method, path, status, code = REQUESTS[case]

    assert_problem(await api.request(method, path), status, code)


HEADERS = {
    "a tenant outside the grammar": ("X-Tenant-ID", "a b", 422, "invalid_context"),
    "an agent outside the grammar": ("X-Agent-ID", "../x", 422, "invalid_context"),
    "an empty key": ("Idempotency-Key", '""', 400, "invalid_idempotency_key"),
    "a long key": ("Idempotency-Key", "k" * 256, 400, "invalid_idempotency_key"),
}


@pytest.mark.parametrize("case", HEADERS)
async def test_a_header_that_cannot_be_right_is_refused(api: httpx.AsyncClient, case: str) -> None:
    name, value, status, code = HEADERS[case]

    response = await api.post("/jobs", json={"type": "noop"}, headers={name: value})

    assert_problem(response, status, code)


async def test_a_foreign_tenant_is_told_what_is_told_of_an_unknown_job(api: httpx.AsyncClient) -> None:
    job = await submitted(api, "noop", x_tenant_id="acme")

    response = await api.get(f"/jobs/{job['job_id']}", headers={"X-Tenant-ID": "other"})

    assert_problem(response, 404, "job_not_found")


async def test_a_finished_job_cannot_be_cancelled(api: httpx.AsyncClient) -> None:
    for job in (await ended(api, "noop"), await ended(api, "decline")):
        response = await api.post(f"/jobs/{job['job_id']}/cancel")
        assert_problem(response, 409, "illegal_transition")
        assert (await api.get(f"/jobs/{job['job_id']}")).json() == job


FAILURES = {
    "boom": ("handler_error", r"The handler raised ValueError\."),
    "decline": ("card_declined", r"The card was declined\."),
    "hang": ("timeout", r"The job ran longer than its 1 seconds\."),
    "hang_sync": ("timeout", r"The job ran longer than its 1 seconds\."),
    "not_json": ("result_not_json", r"The handler's result is not JSON\. .*/value .*"),
    "object_result": ("result_not_json", r"The handler's result is not JSON\. .*"),
    "too_large": ("result_too_large", r"The result is \d+ bytes; at most 1048576 are kept\."),
}


@pytest.mark.parametrize("job_type", FAILURES)
async def test_a_handler_that_goes_wrong_fails_its_job_in_a_sentence(
    api: httpx.AsyncClient, job_type: str
) -> None:
    code, sentence = FAILURES[job_type]

    job = await ended(api, job_type)

    assert job["status"] == "failed"
    assert job["error_info"]["code"] == code
    assert_sentence(job["error"])
    assert re.fullmatch(sentence, job["error"])
    assert job["result"] is None


@pytest.mark.parametrize("value", [None, 0, False, "", [], {}])
async def test_a_result_that_counts_as_false_is_a_result(api: httpx.AsyncClient, value: object) -> None:
    job = await ended(api, "echo", value)

    assert job["status"] == "completed"
    assert job["result"] == value
    assert type(job["result"]) is type(value)


async def test_what_a_caller_sent_is_not_logged(api: httpx.AsyncClient, shared_server: DevServer) -> None:
    secret = "correct horse battery staple"

    await api.post("/jobs", json={"type": "greet", "params": {"name": [secret]}})
    await api.post("/jobs", json={"type": "nonsense", "params": secret})
    await ended(api, "boom", {"password": secret})

    assert secret not in shared_server.log.read_text()
