"""Every route, as its callers use it when all goes well."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from processes import DevServer
from prometheus_client.parser import text_string_to_metric_families
from rest import assert_problem, ended, submitted


async def test_a_submitted_job_is_answered_with_where_to_find_it(api: httpx.AsyncClient) -> None:
    response = await api.post("/jobs", json={"type": "echo", "params": {"a": 1}, "tags": ["x"]})

    job = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/jobs/{job['job_id']}" == job["links"]["self"]
    assert response.headers["etag"] == f'"{job["epoch"]}-1"'
    assert job["task_id"] == job["job_id"]
    assert UUID(job["job_id"]).version == 7
    assert (job["status"], job["seq"], job["attempt"], job["tags"]) == ("queued", 1, 0, ["x"])
    assert job["context"] == {"tenant_id": "default", "request_id": response.headers["x-request-id"]}


async def test_an_agent_is_asked_as_the_first_clients_ask_it(api: httpx.AsyncClient) -> None:
    body = {"input": "How do I watch a job?", "collection_id": "docs", "use_auto_federation": False}
    headers = {"X-Conversation-ID": "talk-1"}

    response = await api.post("/jobs/agent/support/execute", json=body, headers=headers)
    job = (await api.get(f"/jobs/{response.json()['job_id']}/status", params={"wait": 30})).json()

    assert response.status_code == 202
    assert response.json()["task_id"] == response.json()["job_id"]
    assert response.headers["location"].endswith(job["job_id"])
    assert job["status"] == "completed"
    assert job["context"] == {
        "tenant_id": "default",
        "agent_id": "support",
        "conversation_id": "talk-1",
        "collection_id": "docs",
        "request_id": response.headers["x-request-id"],
    }
    assert "[1]" in job["result"]["answer"]
    sources = job["result"]["sources"]
    assert [source["n"] for source in sources] == list(range(1, len(sources) + 1))
    assert all(source["title"] and source["excerpt"] for source in sources)


async def test_a_question_is_answered_from_documents_that_were_embedded_before(
    api: httpx.AsyncClient,
) -> None:
    documents = [{"title": "Zorro", "content": "El zorro azul duerme bajo el puente de Triana."}]
    taken = await ended(api, "embedding", {"collection_id": "fauna", "documents": documents})

    question = {"input": "¿Dónde duerme el zorro azul?", "collection_id": "fauna"}
    asked = await api.post("/jobs/agent/guide/execute", json=question, headers={"Prefer": "wait=30"})
    found = await ended(api, "query", {"query": "zorro", "collection_id": "fauna"})

    assert taken["result"] == {"collection_id": "fauna", "documents": 1, "chunks": 1}
    assert "puente de Triana" in asked.json()["result"]["answer"]
    assert [source["title"] for source in asked.json()["result"]["sources"]] == ["Zorro"]
    assert "zorro azul" in found["result"]["documents"][0]["content"]


@pytest.mark.parametrize("base", ["", "/api"])
async def test_another_service_queues_an_agent(
    api: httpx.AsyncClient, shared_server: DevServer, base: str
) -> None:
    url = f"{shared_server.url}{base}/internal/enqueue_agent"
    body = {"agent_id": "support", "input_text": "leases?", "priority": "high"}
    key = {"Idempotency-Key": str(uuid4())}

    first = await api.post(url, json=body, headers=key)
    again = await api.post(url, json=body, headers=key)

    answer = first.json()
    assert first.status_code == 202
    assert answer["success"] is True
    assert answer["data"]["priority"] == "high"
    assert first.headers["location"] == f"/api/jobs/{answer['data']['job_id']}"
    assert again.json()["data"]["job_id"] == answer["data"]["job_id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert (await api.get(first.headers["location"].removeprefix("/api"))).status_code == 200


async def test_a_state_that_the_caller_has_is_not_sent_again(api: httpx.AsyncClient) -> None:
    job = await ended(api, "noop")
    path = f"/jobs/{job['job_id']}"
    etag = (await api.get(path)).headers["etag"]

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = await api.get(path, headers={"If-None-Match": known})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    other = await api.get(path, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


async def test_a_long_poll_is_answered_at_the_end(api: httpx.AsyncClient) -> None:
    job = await submitted(api, "slow", {"seconds": 0.4})

    response = await api.get(f"/jobs/{job['job_id']}", params={"wait": 20})

    assert response.json()["status"] == "completed"
    assert 0.2 < response.elapsed.total_seconds() < 10


async def test_a_long_poll_with_a_known_state_is_answered_at_the_next(api: httpx.AsyncClient) -> None:
    job = await submitted(api, "steps", {"steps": 3, "pause": 0.2})
    known = {"If-None-Match": '"none"'}
    seen: list[int] = []

    while not job["final"] or not seen:
        response = await api.get(f"/jobs/{job['job_id']}", params={"wait": 20}, headers=known)
        known = {"If-None-Match": response.headers["etag"]}
        job = response.json()
        seen.append(job["seq"])

    assert len(seen) >= 4
    assert seen == sorted(set(seen))


async def test_a_long_poll_with_an_old_state_is_answered_at_once(api: httpx.AsyncClient) -> None:
    old = await api.post("/jobs", json={"type": "slow", "params": {"seconds": 60}})
    path = f"/jobs/{old.json()['job_id']}"
    known = {"If-None-Match": old.headers["etag"]}

    first = await api.get(path, params={"wait": 20}, headers=known)
    again = await api.get(path, params={"wait": 20}, headers=known)
    await api.post(f"{path}/cancel")

    assert first.json()["status"] == again.json()["status"] == "processing"
    assert again.elapsed.total_seconds() < 5


async def test_a_long_poll_whose_time_is_over_is_304_or_the_present_state(api: httpx.AsyncClient) -> None:
    job = await _scheduled(api)
    path = f"/jobs/{job['job_id']}"

    plain = await api.get(path, params={"wait": 0.2})
    known = await api.get(path, params={"wait": 0.2}, headers={"If-None-Match": plain.headers["etag"]})

    assert (plain.status_code, plain.json()["status"]) == (200, "scheduled")
    assert known.status_code == 304
    assert known.elapsed.total_seconds() >= 0.2


async def _scheduled(api: httpx.AsyncClient) -> dict[str, Any]:
    response = await api.post("/jobs", json={"type": "noop", "delay": 3600})
    return dict(response.json())


async def test_whoever_prefers_to_wait_gets_the_end(api: httpx.AsyncClient) -> None:
    body = {"type": "echo", "params": "hola"}

    response = await api.post("/jobs", json=body, headers={"Prefer": "respond-async, wait=20"})

    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=20"
    assert response.json()["result"] == "hola"


async def test_whoever_waited_in_vain_gets_202(api: httpx.AsyncClient) -> None:
    body = {"type": "slow", "params": {"seconds": 60}}
    began = time.monotonic()

    response = await api.post("/jobs", json=body, headers={"Prefer": "wait=1"})

    assert response.status_code == 202
    assert response.headers["preference-applied"] == "wait=1"
    assert response.headers["location"]
    assert 1 <= time.monotonic() - began < 5
    await api.post(f"/jobs/{response.json()['job_id']}/cancel")


@pytest.mark.parametrize("path", ["/jobs", "/jobs/agent/a/execute"])
async def test_one_key_makes_one_job(api: httpx.AsyncClient, path: str) -> None:
    body = {"type": "echo", "params": 1} if path == "/jobs" else {"input": "leases?"}
    other = {"type": "echo", "params": 2} if path == "/jobs" else {"input": "queues?"}
    key = str(uuid4())

    first = await api.post(path, json=body, headers={"Idempotency-Key": key})
    again = await api.post(path, json=body, headers={"Idempotency-Key": f'"{key}"'})
    clash = await api.post(path, json=other, headers={"Idempotency-Key": key})
    elsewhere = await api.post(path, json=other, headers={"Idempotency-Key": key, "X-Tenant-ID": "acme"})

    assert (first.status_code, again.status_code, elsewhere.status_code) == (202, 202, 202)
    assert again.json()["job_id"] == first.json()["job_id"] != elsewhere.json()["job_id"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert_problem(clash, 422, "idempotency_mismatch")


async def test_fifty_posts_with_one_key_at_once_make_one_job(api: httpx.AsyncClient) -> None:
    tag, key = f"once-{uuid4()}", {"Idempotency-Key": str(uuid4())}
    body = {"type": "noop", "tags": [tag]}

    answers = await asyncio.gather(*(api.post("/jobs", json=body, headers=key) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len((await api.get("/jobs", params={"tag": tag})).json()["jobs"]) == 1


async def test_a_walk_through_the_list_sees_every_old_job_once_though_new_ones_come(
    api: httpx.AsyncClient,
) -> None:
    tenant = {"X-Tenant-ID": "walker"}
    old = [(await submitted(api, "noop", **tenant))["job_id"] for _ in range(25)]
    seen: list[str] = []
    page: dict[str, Any] = {"next_cursor": None}

    while not seen or page["next_cursor"]:
        query = {"limit": 7} | ({"cursor": page["next_cursor"]} if seen else {})
        page = (await api.get("/jobs", params=query, headers=tenant)).json()
        seen += [job["job_id"] for job in page["jobs"]]
        await submitted(api, "noop", **tenant)

    assert seen == old[::-1]


async def test_filters_keep_what_fits_all_of_them(api: httpx.AsyncClient) -> None:
    tenant = {"X-Tenant-ID": "filters"}
    before = datetime.now(UTC) - timedelta(seconds=1)
    done = await ended(api, "echo", {"text": "Aguja en el pajar"}, **tenant)
    failed = await ended(api, "decline", **tenant)
    tagged = (
        await api.post("/jobs", json={"type": "noop", "tags": ["red"], "delay": 3600}, headers=tenant)
    ).json()
    later = (before + timedelta(hours=1)).isoformat()

    async def found(**query: object) -> list[str]:
        page = (await api.get("/jobs", params=query, headers=tenant)).json()  # type: ignore[arg-type]
        return [job["job_id"] for job in page["jobs"]]

    everything = [tagged["job_id"], failed["job_id"], done["job_id"]]
    assert await found() == everything
    assert await found(status="failed") == [failed["job_id"]]
    assert await found(status=["failed", "completed"]) == everything[1:]
    assert await found(type="echo", status="failed") == []
    assert await found(tag="red") == [tagged["job_id"]]
    assert await found(q="aguja") == [done["job_id"]]
    assert await found(created_after=before.isoformat(), created_before=later) == everything
    assert await found(created_after=later) == []
    assert await found(limit=1000) == everything


async def test_what_waits_and_is_cancelled_never_runs(api: httpx.AsyncClient) -> None:
    job = await _scheduled(api)

    first = await api.post(f"/jobs/{job['job_id']}/cancel")
    again = await api.post(f"/jobs/{job['job_id']}/cancel")

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert (first.json()["status"], first.json()["attempt"]) == ("cancelled", 0)
    assert first.json()["error_info"] == {"code": "cancelled", "retryable": False}


async def test_a_read_after_a_write_sees_it_at_once(api: httpx.AsyncClient) -> None:
    for _ in range(20):
        job = await submitted(api, "slow", {"seconds": 60})
        cancelled = (await api.post(f"/jobs/{job['job_id']}/cancel")).json()
        read, listed = await asyncio.gather(
            api.get(f"/jobs/{job['job_id']}"), api.get("/jobs", params={"limit": 1})
        )
        assert read.json() == cancelled == listed.json()["jobs"][0]


async def test_a_job_that_failed_is_sent_round_again_under_the_next_attempt(
    api: httpx.AsyncClient,
) -> None:
    job = await ended(api, "decline")

    retried = await api.post(f"/jobs/{job['job_id']}/retry")
    after = (await api.get(f"/jobs/{job['job_id']}", params={"wait": 20})).json()

    assert retried.status_code == 202
    assert (retried.json()["status"], retried.json()["final"]) == ("queued", False)
    assert retried.json()["error"] is None
    assert (after["job_id"], after["attempt"]) == (job["job_id"], job["attempt"] + 1)
    assert after["seq"] > job["seq"]


async def test_a_completed_job_and_a_running_one_are_not_retried(api: httpx.AsyncClient) -> None:
    done = await ended(api, "noop")
    live = await _scheduled(api)

    for job in (done, live):
        response = await api.post(f"/jobs/{job['job_id']}/retry")
        assert_problem(response, 409, "illegal_transition")


async def test_a_malformed_trace_is_left_out_and_a_good_one_kept(api: httpx.AsyncClient) -> None:
    good = f"00-{'a' * 32}-{'b' * 16}-01"

    kept = await submitted(api, "noop", traceparent=good)
    dropped = await submitted(api, "noop", traceparent="00-zz-1")

    assert kept["context"]["traceparent"] == good
    assert "traceparent" not in dropped["context"]


async def test_a_tenant_counts_its_own_jobs_under_the_first_names(api: httpx.AsyncClient) -> None:
    await ended(api, "noop", x_tenant_id="counting")
    await ended(api, "decline", x_tenant_id="counting")

    numbers = (await api.get("/metrics", headers={"X-Tenant-ID": "counting"})).json()

    assert numbers["counters"]["work_queue_job_registered"] == 2
    assert numbers["counters"]["work_queue_job_completed"] == 1
    assert numbers["counters"]["work_queue_job_failed"] == 1
    assert numbers["types"] == {"noop": {"completed": 1}, "decline": {"failed": 1}}


async def test_prometheus_can_read_the_metrics(api: httpx.AsyncClient, shared_server: DevServer) -> None:
    await ended(api, "noop")

    response = await api.get(f"{shared_server.url}/metrics")

    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    registered = {
        sample.labels["type"]: sample.value for sample in families["encola_jobs_registered"].samples
    }
    assert registered["noop"] >= 1


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz"])
async def test_the_server_says_that_it_is_well(
    api: httpx.AsyncClient, shared_server: DevServer, path: str
) -> None:
    response = await api.get(f"{shared_server.url}{path}")

    assert response.status_code == 200
    assert response.json()["status"] == "ok"


async def test_the_events_are_listed_whole_or_after_a_number(api: httpx.AsyncClient) -> None:
    job = await ended(api, "steps", {"steps": 3})
    path, as_json = f"/jobs/{job['job_id']}/events", {"Accept": "application/json"}

    whole = (await api.get(path, headers=as_json)).json()
    rest = (await api.get(path, headers=as_json, params={"since": 2})).json()

    assert [event["seq"] for event in whole["events"]] == list(range(1, job["seq"] + 1))
    assert rest == {"events": whole["events"][2:], "complete": True}
