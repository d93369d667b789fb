"""What one tenant may see of another: nothing, on any route."""

import json
from typing import Any

import httpx
import pytest
from processes import DevServer
from rest import UNKNOWN, ended, submitted


def without_instance(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert body.pop("instance") == response.request.url.path
    return body


async def test_on_every_route_of_a_job_a_foreign_one_looks_like_none(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    job = await submitted(api, "decline", x_tenant_id="owner", prefer="wait=20")
    document = (await api.get(f"{shared_server.url}/openapi.json")).json()
    routes = [
        (method, path)
        for path, methods in document["paths"].items()
        for method in methods
        if "{job_id}" in path
    ]

    answers = []
    for method, path in routes:
        for job_id in (job["job_id"], UNKNOWN, "not-an-id"):
            url = f"{shared_server.url}{path.replace('{job_id}', job_id)}"
            answers.append(await api.request(method, url, headers={"X-Tenant-ID": "stranger"}))

    assert len(routes) == 5
    assert {answer.status_code for answer in answers} == {404}
    assert len({json.dumps(without_instance(answer)) for answer in answers}) == 1
    same_headers = {tuple(sorted(answer.headers.keys())) for answer in answers}
    assert len(same_headers) == 1
    after = (await api.get(f"/jobs/{job['job_id']}", headers={"X-Tenant-ID": "owner"})).json()
    assert after == job


async def test_lists_and_numbers_hold_nothing_foreign(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    job = await ended(api, "echo", "a secret of the owner", x_tenant_id="owner2")
    stranger = {"X-Tenant-ID": "stranger2"}

    listed = (await api.get("/jobs", headers=stranger)).json()
    searched = (await api.get("/jobs", params={"q": "secret"}, headers=stranger)).json()
    by_id = (await api.get("/jobs", params={"q": job["job_id"]}, headers=stranger)).json()
    counted = (await api.get("/metrics", headers=stranger)).json()
    shared = (await api.get(f"{shared_server.url}/metrics")).text

    assert listed == searched == by_id == {"jobs": [], "next_cursor": None}
    assert not any(counted["jobs"].values())
    assert "owner2" not in shared


async def test_a_cursor_of_one_tenant_is_none_for_another(api: httpx.AsyncClient) -> None:
    for _ in range(3):
        await submitted(api, "noop", x_tenant_id="owner3")
    page = await api.get("/jobs", params={"limit": 1}, headers={"X-Tenant-ID": "owner3"})
    cursor = page.json()["next_cursor"]

    response = await api.get("/jobs", params={"cursor": cursor}, headers={"X-Tenant-ID": "stranger3"})

    assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("absent", ["null", "undefined", "", "default"])
async def test_who_names_no_tenant_is_the_default_one(api: httpx.AsyncClient, absent: str) -> None:
    job = await submitted(api, "noop", x_tenant_id=absent)

    assert job["context"]["tenant_id"] == "default"
    assert (await api.get(f"/jobs/{job['job_id']}")).status_code == 200


async def test_a_handler_learns_whose_job_it_runs(api: httpx.AsyncClient) -> None:
    job = await ended(api, "greet", {"name": "Ana"}, x_tenant_id="acme")

    assert job["result"] == {"text": "hola Ana", "tenant": "acme"}


async def test_documents_of_one_tenant_are_not_found_by_another(api: httpx.AsyncClient) -> None:
    documents = [{"title": "Diario", "content": "La llave está bajo la maceta."}]
    taken = {"collection_id": "private", "documents": documents}
    await ended(api, "embedding", taken, x_tenant_id="owner4")

    question = {"query": "llave maceta", "collection_id": "private"}
    own = await ended(api, "query", question, x_tenant_id="owner4")
    foreign = await submitted(api, "query", question, x_tenant_id="stranger4", prefer="wait=30")

    assert own["result"]["documents"]
    assert "maceta" not in json.dumps(foreign["result"])
