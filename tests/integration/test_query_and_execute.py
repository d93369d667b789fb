"""The seed's example 7.2, against the demo services of ``encola dev``."""

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from commands import environment, running
from processes import free_port

from encola import Encola
from encola.application.call_service import CallService

EXAMPLE = Path(__file__).parents[2] / "examples" / "query_and_execute.py"
QUESTION = "What is a lease?"
PATIENCE = 30.0


@dataclass(frozen=True)
class Dev:
    """One ``encola dev``: its API, and its demo services."""

    url: str
    demo: str

    @property
    def services(self) -> dict[str, str]:
        return {"query": f"{self.demo}/query", "agent": self.url}

    def jobs(self, tenant: str) -> list[dict[str, Any]]:
        """Return the tenant's jobs."""
        answer = httpx.get(f"{self.url}/api/jobs", headers={"X-Tenant-ID": tenant})
        jobs: list[dict[str, Any]] = answer.raise_for_status().json()["jobs"]
        return jobs

    def ended(self, job_id: str, tenant: str) -> dict[str, Any]:
        """Return the job once it has ended."""
        answer = httpx.get(
            f"{self.url}/api/jobs/{job_id}?wait=20", headers={"X-Tenant-ID": tenant}, timeout=PATIENCE
        )
        job: dict[str, Any] = answer.raise_for_status().json()
        return job


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    folder = str(tmp_path_factory.mktemp("dev"))
    with running("dev", "--json", ENCOLA_PORT="0", ENCOLA_DATA_DIR=folder) as server:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        yield Dev(ready["url"], ready["demo"])


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("query_and_execute", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def call_service(dev: Dev) -> AsyncIterator[CallService]:
    async with Encola(profile="memory", services=dev.services) as app:
        yield app.use_cases.call_service


def run_example(*arguments: str, services: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the example as a reader would."""
    variables = {f"ENCOLA_SERVICES__{name.upper()}": url for name, url in services.items()}
    return subprocess.run(
        [sys.executable, EXAMPLE, *arguments],
        env=environment(**variables, PYTHONIOENCODING="utf-8"),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


async def ask(example: ModuleType, call_service: CallService, **options: Any) -> Any:
    usual = {"tenant_id": "acme", "agent_id": "asistente", "collection_id": "docs", "idempotency_key": "k"}
    async with asyncio.timeout(PATIENCE):
        return await example.query_and_execute_agent(call_service, QUESTION, **(usual | options))


def test_the_program_enqueues_a_job_that_answers_the_question(dev: Dev) -> None:
    done = run_example(QUESTION, services=dev.services)

    assert (done.returncode, done.stderr) == (0, "")
    said, _, job_id = done.stdout.strip().rpartition(" ")
    assert said == "Trabajo encolado:"
    job = dev.ended(job_id, "default")
    assert job["status"] == "completed"
    assert job["priority"] == "high"
    assert job["context"]["agent_id"] == "asistente"
    assert job["context"]["collection_id"] == "docs"
    assert f"Pregunta: {QUESTION}\n\nContexto: " in job["params"]["input_text"]
    assert "lease" in job["params"]["input_text"].partition("Contexto: ")[2]


def test_the_program_says_which_service_failed_and_how(dev: Dev) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"

    done = run_example(QUESTION, services={**dev.services, "query": nobody})

    assert done.returncode == 1
    assert done.stdout.startswith(
        "Error del servicio query (upstream_unavailable, se puede volver a intentar): "
    )
    assert "Traceback" not in done.stderr


async def test_seed_18_a_query_service_that_is_down_is_a_typed_error_and_enqueues_nothing(
    dev: Dev, example: ModuleType
) -> None:
    services = {**dev.services, "query": f"http://127.0.0.1:{free_port()}"}
    async with Encola(profile="memory", services=services) as app:
        result = await ask(example, app.use_cases.call_service, tenant_id="unlucky")

    assert not result.success
    assert (result.error.code, result.error.retryable) == ("upstream_unavailable", True)
    assert result.meta.service == "query"
    assert result["error"]["code"] == result.error.code
    assert await asyncio.to_thread(dev.jobs, "unlucky") == []


async def test_a_refusal_of_the_query_service_is_returned_as_it_was_said(
    example: ModuleType, call_service: CallService
) -> None:
    result = await ask(example, call_service, collection_id="nowhere")

    assert (result.success, result.error.status, result.meta.service) == (False, 404, "query")


async def test_an_agent_service_that_refuses_is_an_error_too(
    example: ModuleType, call_service: CallService
) -> None:
    first = await ask(example, call_service, tenant_id="busy", idempotency_key="one")
    other = await ask(example, call_service, tenant_id="busy", idempotency_key="one", agent_id="otro")

    assert first.success
    assert (other.success, other.meta.service) == (False, "agent")
    assert not other.error.retryable


async def test_what_was_found_is_kept_for_one_tenant_and_one_collection(
    dev: Dev, example: ModuleType, call_service: CallService
) -> None:
    document = {"title": "Own", "content": "A lease of our own is the right to write."}
    await asyncio.to_thread(
        lambda: httpx.post(
            f"{dev.demo}/embedding/internal/embed",
            json={"collection_id": "own", "documents": [document]},
            headers={"X-Tenant-ID": "caching"},
        ).raise_for_status()
    )

    async def source(tenant: str, collection: str) -> str:
        found = await example.find_documents(
            call_service, QUESTION, tenant_id=tenant, collection_id=collection
        )
        assert found.success, found.error
        kept = found.meta.attempts == 0
        return "kept" if kept else found.meta.source

    assert await source("caching", "docs") == "upstream"
    assert await source("caching", "docs") == "kept"
    assert await source("globex", "docs") == "upstream"
    assert await source("caching", "own") == "upstream"
    assert await source("caching", "own") == "kept"
    assert await source("caching", "docs") == "kept"


async def test_seed_12_one_key_enqueues_one_job_however_often_it_is_asked(
    dev: Dev, example: ModuleType, call_service: CallService
) -> None:
    results = await asyncio.gather(
        *(ask(example, call_service, tenant_id="once", idempotency_key="key-1") for _ in range(10))
    )
    again = await ask(example, call_service, tenant_id="once", idempotency_key="key-1")

    assert all(result.success for result in results)
    assert {result.data["job_id"] for result in [*results, again]} == {results[0].data["job_id"]}
    assert len(await asyncio.to_thread(dev.jobs, "once")) == 1

    other = await ask(example, call_service, tenant_id="once", idempotency_key="key-2")
    assert other.data["job_id"] != again.data["job_id"]
    assert len(await asyncio.to_thread(dev.jobs, "once")) == 2


@pytest.mark.parametrize("data", [None, [], {}, {"documents": None}, {"documents": [1, {}, {"content": ""}]}])
def test_a_query_that_found_nothing_says_so(example: ModuleType, data: Any) -> None:
    assert example.context_of(data) == "(no se encontró nada)"


def test_no_more_documents_are_passed_on_than_an_agent_reads(example: ModuleType) -> None:
    documents = [{"content": letter * 7_000} for letter in "abcd"]

    context = example.context_of({"documents": documents})

    assert len(context) <= example.MOST_CHARACTERS
    assert context == "a" * 7_000 + "\n\n" + "b" * 7_000
