"""The demo services over real HTTP, called as jobs call them."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from encola.adapters.http import HttpServiceCaller, build_transport
from encola.adapters.memory.cache import InMemoryCache
from encola.adapters.memory.circuit_board import InMemoryCircuitBoard
from encola.adapters.memory.clock import ManualClock
from encola.adapters.memory.ids import SeededIds
from encola.adapters.memory.metrics import InMemoryMetrics
from encola.adapters.telemetry import ChildIds
from encola.application.call_service import CallService
from encola.application.response_cache import ResponseCache
from encola.domain.context import TenantId
from encola.domain.errors import InvalidSettings
from encola.entrypoints.demo.collections import CollectionStore, Document
from encola.entrypoints.demo.database import DemoDatabase
from encola.entrypoints.demo.embedding import MAX_BYTES
from encola.entrypoints.demo.envelope import MAX_BODY_BYTES
from encola.entrypoints.demo.llm import LlmSettings
from encola.entrypoints.demo.services import build_demo
from encola.entrypoints.server import serving, take_port, url_of

NAMES = ("agent", "query", "embedding", "history", "metrics")
LEASES = """# Leases

A lease is the right of one attempt to write, for a while. The worker renews its lease while the
handler runs.

## When a worker dies

When a worker dies, its lease runs out and a keeper notices. The job then becomes `retrying`, and
another worker claims it under the next attempt. Nothing that the dead worker writes later is taken.

```python
lease = "code is not prose and is never quoted as a sentence"
```

- A job whose attempts are spent fails with the code `worker_lost`.
- Progress of the dead attempt is dropped.
"""
CANCELLING = """# Cancelling jobs

A queued job that is cancelled never runs. A running handler is interrupted at its next await.
See [the reference](../reference/rest.md) for the route.
"""
ACME = {"X-Tenant-ID": "acme"}
NDJSON = {"Accept": "application/x-ndjson"}

Start = Callable[..., Any]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "explanation").mkdir(parents=True)
    (folder / "explanation" / "leases.md").write_text(LEASES, encoding="utf-8")
    (folder / "cancelling.md").write_text(CANCELLING, encoding="utf-8")
    return folder


@pytest.fixture
async def start(tmp_path: Path, docs: Path) -> AsyncIterator[Start]:
    """Return a function that serves the demo and gives an HTTP client and a ``call_service``."""
    async with AsyncExitStack() as stack:

        async def run(llm: LlmSettings | None = None) -> tuple[httpx.AsyncClient, CallService]:
            listener = stack.enter_context(take_port("127.0.0.1", 0))
            base = url_of(listener)
            wire = await stack.enter_async_context(build_transport())
            caller = HttpServiceCaller(
                {name: f"{base}/{name}" for name in NAMES},
                wire,
                chance=lambda: 0.0,
                metrics=InMemoryMetrics(),
                board=InMemoryCircuitBoard(),
                telemetry=ChildIds(SeededIds().random_hex),
            )
            clock = ManualClock()
            responses = ResponseCache(InMemoryCache(clock), clock, InMemoryMetrics())
            call_service = CallService(caller=caller, responses=responses, clock=clock)
            demo = build_demo(tmp_path, call_service, llm, docs=docs)
            stack.callback(demo.state.database.close)
            await stack.enter_async_context(serving(demo, listener, log_level="warning"))
            user = await stack.enter_async_context(httpx.AsyncClient(base_url=base, trust_env=False))
            return user, call_service

        yield run


@pytest.fixture
async def http(start: Start) -> httpx.AsyncClient:
    client: httpx.AsyncClient
    client, _ = await start()
    return client


async def data_of(response: httpx.Response) -> Any:
    envelope = response.json()
    assert (response.status_code, envelope["success"], envelope["error"]) == (200, True, None), envelope
    return envelope["data"]


def error_of(response: httpx.Response) -> tuple[int, str, bool]:
    envelope = response.json()
    assert (envelope["success"], envelope["data"]) == (False, None)
    assert envelope["error"]["message"]
    return response.status_code, envelope["error"]["code"], envelope["error"]["retryable"]


async def search(http: httpx.AsyncClient, query: str, tenant: str = "acme", **more: Any) -> Any:
    body = {"query": query, "top_k": 5, **more}
    response = await http.post("/query/internal/query", json=body, headers={"X-Tenant-ID": tenant})
    return (await data_of(response))["documents"]


async def embed(
    http: httpx.AsyncClient, collection: str, *documents: dict[str, str], tenant: str = "acme"
) -> Any:
    body = {"collection_id": collection, "documents": documents}
    response = await http.post("/embedding/internal/embed", json=body, headers={"X-Tenant-ID": tenant})
    return await data_of(response)


async def ask(http: httpx.AsyncClient, question: str, **more: Any) -> Any:
    body = {"agent_id": "guide", "input_text": question, "collection_id": None, **more}
    return await data_of(await http.post("/agent/internal/execute", json=body, headers=ACME))


# Query


async def test_the_documentation_is_found_by_its_words(http: httpx.AsyncClient) -> None:
    found = await search(http, "what happens when a worker dies?")

    assert found[0]["title"] == "Leases › When a worker dies"
    assert found[0]["source"] == "explanation/leases.md#when-a-worker-dies"
    assert found[0]["collection_id"] == "docs"
    assert "another worker claims it" in found[0]["content"]
    assert [passage["score"] for passage in found] == sorted((p["score"] for p in found), reverse=True)
    assert found[0]["score"] > 0


@pytest.mark.parametrize("query", ["cancelar trabajos", "¿Cómo se cancela un trabajo?", "CANCÉLLING", "jobs"])
async def test_words_are_found_in_other_forms_and_in_spanish(http: httpx.AsyncClient, query: str) -> None:
    titles = [passage["title"] for passage in await search(http, query)]

    assert "Cancelling jobs" in titles


async def test_accents_do_not_matter(http: httpx.AsyncClient) -> None:
    await embed(http, "notas", {"title": "Menú", "content": "La paella lleva azafrán y pimentón."})

    for query in ("azafran", "AZAFRÁN", "¿Qué lleva azafrán?"):
        assert len(await search(http, query, collection_id="notas")) == 1


async def test_a_question_of_unknown_words_finds_nothing(http: httpx.AsyncClient) -> None:
    assert await search(http, "photosynthesis") == []
    assert await search(http, "¿?") == []


async def test_an_unknown_collection_says_so(http: httpx.AsyncClient) -> None:
    response = await http.post("/query/internal/query", json={"query": "x", "collection_id": "none"})

    assert error_of(response) == (404, "collection_not_found", False)


async def test_a_tenant_finds_nothing_of_another(http: httpx.AsyncClient) -> None:
    await embed(http, "notes", {"title": "Secret", "content": "The vault code is quokka."})

    response = await http.post(
        "/query/internal/query",
        json={"query": "quokka", "collection_id": "notes"},
        headers={"X-Tenant-ID": "globex"},
    )

    assert error_of(response) == (404, "collection_not_found", False)
    assert await search(http, "quokka", tenant="globex", federated=True) == []
    assert len(await search(http, "quokka", federated=True)) == 1


async def test_federation_lets_collections_take_turns(http: httpx.AsyncClient) -> None:
    await embed(http, "one", {"title": "One", "content": "The lease of the house."})
    await embed(http, "two", {"title": "Two", "content": "The lease of the car."})

    found = await search(http, "lease", federated=True)

    assert {passage["collection_id"] for passage in found[:3]} == {"docs", "one", "two"}


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text() | st.text("\"*()^:+-NEAROTD {}\\'\x00ñ%", max_size=40))
def test_no_question_is_a_syntax_error(question_store: CollectionStore, question: str) -> None:
    question_store.search_all(TenantId("acme"), question, 3)


@pytest.fixture(scope="module")
def question_store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    database = DemoDatabase(tmp_path_factory.mktemp("questions") / "demo.db")
    store = CollectionStore(database)
    store.ingest(TenantId("acme"), "notes", [Document("a", "near and not or", "a")])
    yield store
    database.close()


# Embedding


async def test_documents_are_taken_in_and_counted(http: httpx.AsyncClient) -> None:
    long = "\n\n".join(f"Paragraph {number} speaks of otters. " * 10 for number in range(10))
    taken = await embed(
        http, "notes", {"title": "Otters", "content": long}, {"content": "# Seals\n\nThey bark."}
    )
    sizes = await data_of(await http.get("/embedding/internal/collections", headers=ACME))

    assert taken == {"collection_id": "notes", "documents": 2, "chunks": taken["chunks"]}
    assert taken["chunks"] > 4
    assert sizes["collections"][0]["collection_id"] == "docs"
    assert sizes["collections"][1] == taken
    assert [passage["title"] for passage in await search(http, "bark", collection_id="notes")] == ["Seals"]


async def test_a_document_replaces_the_one_of_its_title(http: httpx.AsyncClient) -> None:
    await embed(http, "notes", {"title": "Plan", "content": "We meet at the harbour."})
    await embed(http, "notes", {"title": "Plan", "content": "We meet at the station."})

    assert await search(http, "harbour", collection_id="notes") == []
    assert len(await search(http, "station", collection_id="notes")) == 1


@pytest.mark.parametrize(
    ("collection", "documents", "expected"),
    [
        ("docs", [{"content": "mine"}], (403, "collection_read_only", False)),
        ("notes", [], (422, "empty_document", False)),
        ("notes", [{"content": " \n"}], (422, "empty_document", False)),
        ("notes", [{"content": "x"}] * 101, (413, "too_many_documents", False)),
        ("notes", [{"content": "ñ" * (MAX_BYTES // 2 + 1)}], (413, "documents_too_large", False)),
        ("no such name", [{"content": "x"}], (422, "invalid_request", False)),
        ("notes", [{"content": 7}], (422, "invalid_request", False)),
        ("notes", [{"content": "\ud800"}], (422, "not_json", False)),
    ],
)
async def test_what_cannot_be_taken_in_is_refused_with_a_reason(
    http: httpx.AsyncClient, collection: str, documents: Any, expected: tuple[int, str, bool]
) -> None:
    body = json.dumps({"collection_id": collection, "documents": documents})
    headers = {**ACME, "Content-Type": "application/json"}
    response = await http.post("/embedding/internal/embed", content=body, headers=headers)

    assert error_of(response) == expected


# Agent


async def test_the_agent_answers_with_the_words_of_its_sources(http: httpx.AsyncClient) -> None:
    data = await ask(http, "What happens when a worker dies?")

    assert data["answer"].startswith("According to the documents: ")
    assert "its lease runs out and a keeper notices. [1]" in data["answer"]
    assert "code is not prose" not in data["answer"]
    assert data["sources"][0]["source"] == "explanation/leases.md#when-a-worker-dies"
    assert data["sources"][0]["n"] == 1
    assert "a worker dies" in data["sources"][0]["excerpt"]
    assert data["metadata"] == {"model": "extractive", "documents": 2, "agent_id": "guide"}


async def test_every_citation_has_a_source_and_the_reverse(http: httpx.AsyncClient) -> None:
    data = await ask(http, "worker lease job cancelled attempt")
    cited = {number for number in range(1, 10) if f"[{number}]" in data["answer"]}

    assert {source["n"] for source in data["sources"]} == cited
    assert 2 <= data["answer"].count(" [") <= 4


async def test_a_spanish_question_is_answered_in_a_spanish_frame(http: httpx.AsyncClient) -> None:
    data = await ask(http, "¿Cómo se cancela un trabajo?")

    assert data["answer"].startswith("Según los documentos: ")
    assert "A queued job that is cancelled never runs. [1]" in data["answer"]


async def test_the_agent_says_plainly_that_it_found_nothing(http: httpx.AsyncClient) -> None:
    data = await ask(http, "¿Cuál es la receta de la paella?")

    assert data["answer"] == "No encontré nada sobre eso en la colección «docs»."
    assert data["sources"] == []


async def test_one_word_in_common_is_not_an_answer(http: httpx.AsyncClient) -> None:
    data = await ask(http, "Who wrote the running shoes advertisement jingle?")

    assert data["answer"] == "I found nothing about that in the collection «docs»."


async def test_federation_reaches_the_collections_of_the_tenant(http: httpx.AsyncClient) -> None:
    await embed(http, "notes", {"title": "Vault", "content": "The vault opens with the word quokka only."})

    without = await ask(http, "What opens the vault?")
    data = await ask(http, "What opens the vault?", use_auto_federation=True)

    assert without["sources"] == []
    assert [source["collection_id"] for source in data["sources"]] == ["notes"]
    assert "quokka only. [1]" in data["answer"]


async def test_an_unknown_collection_reaches_the_one_who_asked(http: httpx.AsyncClient) -> None:
    body = {"agent_id": "guide", "input_text": "anything", "collection_id": "none"}
    response = await http.post("/agent/internal/execute", json=body, headers=ACME)

    assert error_of(response) == (404, "collection_not_found", False)


async def test_the_answer_is_streamed_sentence_by_sentence(http: httpx.AsyncClient) -> None:
    body = {"agent_id": "guide", "input_text": "What happens when a worker dies?"}
    response = await http.post("/agent/internal/execute", json=body, headers={**ACME, **NDJSON})
    *outputs, last = [json.loads(line) for line in response.text.splitlines()]

    assert response.headers["content-type"].startswith("application/x-ndjson")
    assert len(outputs) >= 3
    assert "".join(line["output"] for line in outputs) == last["data"]["answer"]
    assert last["success"]


async def test_a_job_hears_the_agent_through_call_service(start: Start) -> None:
    _, call_service = await start()
    heard: list[str] = []

    result = await call_service(
        "agent/internal/execute",
        {"agent_id": "guide", "input_text": "What is a lease?"},
        operation_type="agent_execution",
        tenant_id="acme",
        on_output=heard.append,
    )

    assert result.success
    assert "".join(heard) == result.data["answer"]


# Language model


class Model:
    """An OpenAI-compatible endpoint that answers with given pieces, or fails."""

    def __init__(self, *pieces: str, status: int = 200) -> None:
        self.pieces = pieces
        self.status = status
        self.requests: list[tuple[dict[str, Any], str | None]] = []
        self.app = FastAPI(openapi_url=None)
        self.app.post("/v1/chat/completions")(self.complete)

    async def complete(self, request: Request) -> StreamingResponse:
        self.requests.append((await request.json(), request.headers.get("authorization")))
        return StreamingResponse(self.events(), self.status, media_type="text/event-stream")

    async def events(self) -> AsyncIterator[str]:
        yield ": welcome\n\n"
        yield f"data: {json.dumps({'choices': [{'delta': {'role': 'assistant'}}]})}\n\n"
        for piece in self.pieces:
            if piece == "BREAK":
                yield "data: {nonsense\n\n"
            yield f"data: {json.dumps({'choices': [{'delta': {'content': piece}}]})}\n\n"
        yield f"data: {json.dumps({'choices': [], 'usage': {}})}\n\n"
        yield "data: [DONE]\n\n"


@pytest.fixture
async def start_with_model(start: Start) -> AsyncIterator[Callable[[Model], Any]]:
    async with AsyncExitStack() as stack:

        async def run(model: Model) -> httpx.AsyncClient:
            listener = stack.enter_context(take_port("127.0.0.1", 0))
            await stack.enter_async_context(serving(model.app, listener, log_level="warning"))
            llm = LlmSettings(f"{url_of(listener)}/v1/", "tiny", SecretStr("hunter2"))
            client: httpx.AsyncClient
            client, _ = await start(llm)
            return client

        yield run


async def streamed(http: httpx.AsyncClient, question: str) -> list[Any]:
    body = {"agent_id": "guide", "input_text": question}
    response = await http.post("/agent/internal/execute", json=body, headers={**ACME, **NDJSON})
    return [json.loads(line) for line in response.text.splitlines()]


async def test_a_model_writes_the_answer_from_numbered_sources(
    start_with_model: Callable[[Model], Any],
) -> None:
    model = Model("A lease ", "runs out", " [1].")
    http = await start_with_model(model)
    lines = await streamed(http, "What happens when a worker dies?")
    (sent, authorization) = model.requests[0]

    assert [line["output"] for line in lines[:-1]] == ["A lease ", "runs out", " [1]."]
    assert lines[-1]["data"]["answer"] == "A lease runs out [1]."
    assert [source["n"] for source in lines[-1]["data"]["sources"]] == [1]
    assert lines[-1]["data"]["metadata"]["model"] == "tiny"
    assert (sent["model"], sent["stream"], authorization) == ("tiny", True, "Bearer hunter2")
    assert "[1] Leases › When a worker dies" in sent["messages"][1]["content"]


async def test_a_model_is_not_asked_about_what_no_document_says(
    start_with_model: Callable[[Model], Any],
) -> None:
    model = Model("Paella!")
    http = await start_with_model(model)
    data = await ask(http, "¿Cuál es la receta de la paella?")

    assert data["answer"].startswith("No encontré nada")
    assert model.requests == []


@pytest.mark.parametrize(
    "model", [Model(status=500), Model(), Model("half", "BREAK", "lost")], ids=["500", "silent", "nonsense"]
)
async def test_a_model_that_fails_is_an_error_that_may_pass(
    start_with_model: Callable[[Model], Any], model: Model
) -> None:
    http = await start_with_model(model)
    body = {"agent_id": "guide", "input_text": "What is a lease?"}
    whole = await http.post("/agent/internal/execute", json=body, headers=ACME)
    lines = await streamed(http, "What is a lease?")

    assert error_of(whole) == (503, "llm_unavailable", True)
    assert lines[-1]["error"]["code"] == "llm_unavailable"
    assert "hunter2" not in whole.text


async def test_a_model_that_is_not_there_is_an_error_that_may_pass(start: Start) -> None:
    listener = take_port("127.0.0.1", 0)
    listener.close()
    http, _ = await start(LlmSettings("http://127.0.0.1:9/v1", "tiny"))
    body = {"agent_id": "guide", "input_text": "What is a lease?"}

    response = await http.post("/agent/internal/execute", json=body, headers=ACME)

    assert error_of(response) == (503, "llm_unavailable", True)


# History


STATE = {"job_id": "j-1", "job_type": "query", "params": {"q": "x"}, "status": "queued"}


async def test_the_history_service_takes_the_messages_of_its_contract(http: httpx.AsyncClient) -> None:
    registered = await data_of(await http.post("/history/internal/jobs/register", json=STATE, headers=ACME))
    update = {
        "job_id": "j-1",
        "status": "completed",
        "result": {"answer": "sí"},
        "error": None,
        "updated_at": "2026-11-23T00:00:00.000Z",
    }
    await data_of(await http.post("/history/internal/jobs/update", json=update, headers=ACME))
    job = await data_of(await http.get("/history/internal/jobs/j-1", headers=ACME))

    assert registered == {"job_id": "j-1", "status": "queued"}
    assert (job["job_type"], job["params"], job["status"]) == ("query", {"q": "x"}, "completed")
    assert (job["result"], job["updated_at"]) == ({"answer": "sí"}, update["updated_at"])


async def test_an_update_that_comes_late_or_twice_changes_nothing(http: httpx.AsyncClient) -> None:
    for seq, status in [(1, "queued"), (3, "completed"), (2, "processing"), (3, "completed"), (1, "queued")]:
        event = {"seq": seq, "status": status}
        body = {**STATE, "status": status, "seq": seq, "epoch": "e", "attempt": 1, "event": event}
        await data_of(await http.post("/history/internal/jobs/update", json=body, headers=ACME))
    job = await data_of(await http.get("/history/internal/jobs/j-1", headers=ACME))
    events = await data_of(await http.get("/history/internal/jobs/j-1/events", headers=ACME))

    assert (job["status"], job["seq"]) == ("completed", 3)
    assert [event["seq"] for event in events["events"]] == [1, 2, 3]


async def test_the_newest_jobs_come_first_and_only_the_own(http: httpx.AsyncClient) -> None:
    for number, tenant in enumerate(["acme", "globex", "acme"]):
        body = {**STATE, "job_id": f"j-{number}"}
        await http.post("/history/internal/jobs/register", json=body, headers={"X-Tenant-ID": tenant})
    jobs = await data_of(await http.get("/history/internal/jobs?limit=10", headers=ACME))
    foreign = await http.get("/history/internal/jobs/j-1", headers=ACME)

    assert [job["job_id"] for job in jobs["jobs"]] == ["j-2", "j-0"]
    assert error_of(foreign) == (404, "job_not_found", False)
    assert error_of(await http.get("/history/internal/jobs/j-1/events", headers=ACME))[0] == 404


async def test_the_history_survives_a_restart(start: Start) -> None:
    first, _ = await start()
    await first.post("/history/internal/jobs/register", json=STATE, headers=ACME)
    second, _ = await start()

    job = await data_of(await second.get("/history/internal/jobs/j-1", headers=ACME))

    assert job["status"] == "queued"


async def test_the_largest_result_of_a_job_is_taken(http: httpx.AsyncClient) -> None:
    result = "ñ" * (2**19 - 100)
    event = {"seq": 2, "status": "completed", "result": result}
    body = {**STATE, "status": "completed", "result": result, "seq": 2, "epoch": "e", "event": event}
    content = json.dumps(body, ensure_ascii=False).encode()
    headers = {**ACME, "Content-Type": "application/json"}

    await data_of(await http.post("/history/internal/jobs/update", content=content, headers=headers))


# Metrics


async def test_connections_are_counted_and_the_latest_shown(http: httpx.AsyncClient) -> None:
    for number in range(101):
        note = {"client_id": f"c-{number}", "connection_type": "register", "timestamp": 1.5}
        await data_of(await http.post("/metrics/internal/websocket/connection", json=note, headers=ACME))
    left = {"client_id": "c-0", "connection_type": "unregister", "timestamp": "2026-11-23T00:00:00Z"}
    await http.post("/metrics/internal/websocket/connection", json=left, headers=ACME)
    data = await data_of(await http.get("/metrics/internal/websocket/connections", headers=ACME))
    other = await data_of(await http.get("/metrics/internal/websocket/connections"))

    assert data["counts"] == {"register": 101, "unregister": 1}
    assert len(data["connections"]) == 100
    assert data["connections"][0] == left
    assert other == {"counts": {}, "connections": []}


# All of them


@pytest.mark.parametrize("name", NAMES)
async def test_each_service_says_that_it_lives(http: httpx.AsyncClient, name: str) -> None:
    response = await http.get(f"/{name}/health")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path", "content", "expected"),
    [
        ("POST", "/query/internal/query", b"{", (422, "invalid_request", False)),
        ("POST", "/query/internal/query", b"[]", (422, "invalid_request", False)),
        ("POST", "/query/internal/query", b'{"query":"x","top_k":0}', (422, "invalid_request", False)),
        ("POST", "/agent/internal/execute", b'{"input_text":""}', (422, "invalid_request", False)),
        ("POST", "/history/internal/jobs/register", b'{"job_id":"x"}', (422, "invalid_request", False)),
        (
            "POST",
            "/history/internal/jobs/update",
            b'{"job_id":"x","status":"queued","result":NaN}',
            (422, "not_json", False),
        ),
        ("POST", "/metrics/internal/websocket/connection", b"{}", (422, "invalid_request", False)),
        ("GET", "/query/internal/nothing", b"", (404, "not_found", False)),
        ("GET", "/query/internal/query", b"", (405, "method_not_allowed", False)),
    ],
)
async def test_every_refusal_is_an_envelope(
    http: httpx.AsyncClient, method: str, path: str, content: bytes, expected: tuple[int, str, bool]
) -> None:
    headers = {**ACME, "Content-Type": "application/json"}
    response = await http.request(method, path, content=content, headers=headers)

    assert error_of(response) == expected


async def test_a_body_beyond_the_limit_is_refused(http: httpx.AsyncClient) -> None:
    response = await http.post("/history/internal/jobs/update", content=b"x" * (MAX_BODY_BYTES + 1))

    assert response.status_code == 413


async def test_a_tenant_outside_the_grammar_is_refused(http: httpx.AsyncClient) -> None:
    response = await http.get("/history/internal/jobs", headers={"X-Tenant-ID": "a/b"})

    assert error_of(response) == (422, "invalid_context", False)


def test_a_folder_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InvalidSettings, match="cannot keep their data"):
        DemoDatabase(tmp_path / "file" / "demo.db")


def test_a_file_that_is_no_database_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "demo.db").write_text("This is no database, whatever its name says. " * 100)

    with pytest.raises(InvalidSettings, match="cannot keep their data"):
        DemoDatabase(tmp_path / "demo.db")
