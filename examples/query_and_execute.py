"""Look a question up, and have an agent answer it with what was found (the seed's example 7.2).

Start ``encola dev --json`` in another terminal: it says where it answers (``url``) and where its demo
services do (``demo``). Then, with these two addresses::

    ENCOLA_SERVICES__QUERY=http://127.0.0.1:41234/query \\
    ENCOLA_SERVICES__AGENT=http://127.0.0.1:8000 \\
    python examples/query_and_execute.py "What is a lease?"
"""

import asyncio
import sys
from collections.abc import Sequence
from uuid import uuid4

from encola import Encola
from encola.application.call_service import CallService
from encola.domain.json_value import JSON
from encola.domain.service import ServiceResult

MOST_CHARACTERS = 18_000
"""What an agent reads at most, less what stands around the documents."""


async def query_and_execute_agent(
    call_service: CallService,
    question: str,
    *,
    tenant_id: str,
    agent_id: str,
    idempotency_key: str,
    conversation_id: str | None = None,
    collection_id: str | None = None,
) -> ServiceResult:
    """Return the job that the agent will run, or the failure of whichever service failed.

    Who asks again with the same ``idempotency_key`` gets the same job.
    """
    found = await find_documents(call_service, question, tenant_id=tenant_id, collection_id=collection_id)
    if not found.success:
        return found
    return await call_service(
        "agent/internal/enqueue_agent",
        {
            "agent_id": agent_id,
            "input_text": f"Pregunta: {question}\n\nContexto: {context_of(found.data)}",
            "collection_id": collection_id,
            "priority": "high",
        },
        operation_type="agent_execution_queue",
        tenant_id=tenant_id,
        agent_id=agent_id,
        conversation_id=conversation_id,
        collection_id=collection_id,
        idempotency_key=idempotency_key,
    )


async def find_documents(
    call_service: CallService, question: str, *, tenant_id: str, collection_id: str | None = None
) -> ServiceResult:
    """Return what the query service finds; for an hour its answer is the tenant's and collection's.

    Neither agent nor conversation is named, because what is found does not depend on them.
    """
    return await call_service(
        "query/internal/query",
        {"query": question, "top_k": 5, "collection_id": collection_id},
        operation_type="rag_query",
        tenant_id=tenant_id,
        collection_id=collection_id,
        use_cache=True,
    )


def context_of(data: JSON) -> str:
    """Return the text of the documents, whole ones, as many as an agent reads."""
    documents = data.get("documents") if isinstance(data, dict) else None
    texts = [
        str(document["content"])
        for document in (documents if isinstance(documents, list) else [])
        if isinstance(document, dict) and document.get("content")
    ]
    context = ""
    for text in texts:
        longer = f"{context}\n\n{text}" if context else text
        if len(longer) > MOST_CHARACTERS:
            break
        context = longer
    return context or "(no se encontró nada)"


def told(result: ServiceResult) -> str:
    """Say in one line what came of it."""
    if result.error is not None:
        again = "se puede volver a intentar" if result.error.retryable else "no sirve volver a intentarlo"
        return (
            f"Error del servicio {result.meta.service} ({result.error.code}, {again}): {result.error.message}"
        )
    job = result.data if isinstance(result.data, dict) else {}
    return f"Trabajo encolado: {job.get('job_id')}"


async def main(arguments: Sequence[str]) -> int:
    """Ask one question."""
    if len(arguments) not in (1, 2):
        sys.stderr.write("Uso: query_and_execute.py PREGUNTA [CLAVE]\n")
        return 2
    async with Encola(profile="memory") as app:
        result = await query_and_execute_agent(
            app.use_cases.call_service,
            arguments[0],
            tenant_id="default",
            agent_id="asistente",
            collection_id="docs",
            idempotency_key=arguments[1] if len(arguments) == 2 else str(uuid4()),
        )
    sys.stdout.write(told(result) + "\n")
    return 0 if result.success else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(sys.argv[1:])))
