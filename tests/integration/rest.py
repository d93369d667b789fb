"""What tests say over REST again and again."""

from typing import Any

import httpx

UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def submitted(
    api: httpx.AsyncClient, job_type: str, params: object = None, **headers: str
) -> dict[str, Any]:
    """Submit a job and return it as it was accepted; ``prefer`` and such are headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await api.post("/jobs", json={"type": job_type, "params": params}, headers=named)
    assert response.status_code in (200, 202), response.text
    job: dict[str, Any] = response.json()
    return job


async def ended(
    api: httpx.AsyncClient, job_type: str, params: object = None, **headers: str
) -> dict[str, Any]:
    """Submit a job and return it at its end."""
    job = await submitted(api, job_type, params, prefer="wait=30", **headers)
    assert job["final"], job
    return job


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    """Hold an error against RFC 9457, and against what the first clients show."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["code"] == code, body
    assert body["type"] == f"urn:encola:problem:{code}"
    assert body["status"] == status
    assert body["instance"] == response.request.url.path
    assert body["message"] == body["detail"]
    assert_sentence(body["message"])


def assert_sentence(text: object) -> None:
    """Hold a message against what a person can read: something, on one line, no traceback."""
    assert isinstance(text, str)
    assert len(text.split()) >= 3, text
    assert "\n" not in text
    assert "Traceback" not in text


async def events_of(api: httpx.AsyncClient, job_id: str) -> list[dict[str, Any]]:
    """Return all events of a job."""
    response = await api.get(f"/jobs/{job_id}/events", headers={"Accept": "application/json"})
    events: list[dict[str, Any]] = response.json()["events"]
    return events


def finals(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events that end a job; one is right."""
    return [event for event in events if event["final"]]
