"""The documents at ``/openapi.json`` and ``/api/asyncapi.json``, held against the wire."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from processes import DevServer
from rest import ended, submitted
from websockets.asyncio.client import connect

SCHEMATHESIS_SECONDS = 110
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "use_after_free",
)


@pytest.mark.timeout(SCHEMATHESIS_SECONDS + 20)
def test_whatever_is_asked_the_answer_is_a_documented_one(shared_server: DevServer, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("st")),
        "run",
        f"{shared_server.url}/openapi.json",
        *("--checks", ",".join(CHECKS)),
        *("--phases", "examples,coverage,fuzzing"),
        *("--max-examples", "20"),
        *("--request-timeout", "15"),
        "--generation-deterministic",
        "--no-color",
    ]

    run = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=SCHEMATHESIS_SECONDS, check=False
    )

    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-1000:]
    assert "Tested: 14" in run.stdout


async def test_the_document_is_openapi_3_1_and_every_error_in_it_a_problem(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    document = (await api.get(f"{shared_server.url}/openapi.json")).json()

    assert document["openapi"].startswith("3.1.")
    assert_references_resolve(document)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if status >= "400" and path not in ("/health", "/readyz"):
                    assert list(answer["content"]) == ["application/problem+json"], (method, path, status)


async def test_every_method_of_an_address_is_named_in_allow(api: httpx.AsyncClient) -> None:
    response = await api.put("/jobs")

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"


@pytest.fixture
async def asyncapi(api: httpx.AsyncClient) -> dict[str, Any]:
    """Return the document."""
    document: dict[str, Any] = (await api.get("/asyncapi.json")).json()
    return document


def validator(asyncapi: dict[str, Any], message: str) -> Draft202012Validator:
    payload = asyncapi["components"]["messages"][message]["payload"]
    return Draft202012Validator({**payload, "components": asyncapi["components"]})


def assert_references_resolve(document: dict[str, Any]) -> None:
    """Follow every ``$ref`` in a document."""

    def visit(node: object) -> None:
        if isinstance(node, dict):
            target: Any = document
            for part in str(node.get("$ref", "#")).removeprefix("#").split("/")[1:]:
                target = target[part.replace("~1", "/").replace("~0", "~")]
            for child in node.values():
                visit(child)
        elif isinstance(node, list):
            for child in node:
                visit(child)

    visit(document)


async def streamed(api: httpx.AsyncClient, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the name and the data of every event of a job's stream, up to its end."""
    response = await api.get(f"/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
    frames = (frame.splitlines() for frame in response.text.split("\n\n"))
    fields = [dict(line.split(": ", 1) for line in frame if ": " in line) for frame in frames]
    return [(frame["event"], json.loads(frame["data"])) for frame in fields if "data" in frame]


async def test_the_messages_of_a_stream_are_those_of_the_asyncapi_document(
    api: httpx.AsyncClient, asyncapi: dict[str, Any]
) -> None:
    assert asyncapi["asyncapi"].startswith("3.")
    assert_references_resolve(asyncapi)
    scheduled = await api.post("/jobs", json={"type": "noop", "delay": 0.2})
    counted = [await ended(api, "noop")]
    for _ in range(2):
        body = {"type": "counted", "use_cache": True, "params": "asyncapi"}
        counted.append((await api.post("/jobs", json=body, headers={"Prefer": "wait=20"})).json())
    jobs = [
        scheduled.json(),
        *counted,
        await submitted(api, "steps", {"steps": 3}),
        await submitted(api, "flaky", {"succeeds_at": 2}),
        await submitted(api, "boom"),
        await submitted(api, "echo", [1, {"a": None}]),
        await submitted(api, "talk", {"words": ["uno "] * 50}),
    ]

    streams = await asyncio.gather(*(streamed(api, job["job_id"]) for job in jobs))
    messages = [message for stream in streams for message in stream]

    for name, message in messages:
        kind = "output" if name == "output" else "jobEvent"
        schema = "Output" if name == "output" else "JobEvent"
        validator(asyncapi, kind).validate(message)
        assert name == message["type"]
        assert set(message) <= set(asyncapi["components"]["schemas"][schema]["properties"])
    assert {name for name, _ in messages} == {"status_update", "job_completed", "job_error", "output"}
    statuses = {message["status"] for name, message in messages if name != "output"}
    assert statuses == {"scheduled", "queued", "processing", "retrying", "completed", "failed"}
    assert any("due_at" in message for _, message in messages)
    assert any("cached" in message for _, message in messages)


async def test_the_frames_of_a_socket_are_those_of_the_asyncapi_document(
    api: httpx.AsyncClient, asyncapi: dict[str, Any]
) -> None:
    job = await submitted(api, "talk", {"words": ["uno ", "dos"]})
    address = asyncapi["channels"]["jobSocket"]["address"].format(job_id=job["job_id"])
    base = str(api.base_url).replace("http", "ws", 1).removesuffix("/api/")

    frames: list[dict[str, Any]] = []
    async with connect(f"{base}{address}?since=0") as socket:
        while not frames or not frames[-1]["final"]:
            frames.append(json.loads(await socket.recv()))

    assert list(asyncapi["channels"]["jobSocket"]["messages"]) == ["jobEvent"]
    for frame in frames:
        validator(asyncapi, "jobEvent").validate(frame)
    assert len(frames) >= 3
