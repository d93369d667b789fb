"""The agent service: answers a question from documents, with sources."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field
from starlette.responses import Response

from encola.application.call_service import CallService
from encola.domain.context import TenantId, present
from encola.domain.json_value import JSON
from encola.domain.service import ServiceResult
from encola.entrypoints.demo.answer import (
    Answer,
    as_data,
    compose,
    nothing_found,
    relevant_passages,
    source_of,
)
from encola.entrypoints.demo.collections import DOCS, Passage
from encola.entrypoints.demo.envelope import Body, Envelope, Refusal, Tenant, ok, service_app
from encola.entrypoints.demo.llm import LlmSettings, write_answer
from encola.entrypoints.demo.query import CollectionName

TOP_K = 10
NDJSON = "application/x-ndjson"
_CITATION = re.compile(r"\[(\d{1,2})\]")


class Execution(Body):
    """A question to an agent."""

    agent_id: CollectionName | None = None
    input_text: Annotated[str, Field(min_length=1, max_length=20_000)]
    collection_id: CollectionName | None = None
    use_auto_federation: bool = False

    @property
    def where(self) -> str:
        """Return what is searched, in words."""
        return "tus colecciones" if self.use_auto_federation else f"la colección «{self.collection}»"

    @property
    def collection(self) -> str:
        """Return the collection that is searched."""
        return self.collection_id or DOCS


@dataclass(frozen=True, slots=True)
class Agent:
    """Retrieves through the query service and writes, by itself or by a language model."""

    call_service: CallService
    llm: LlmSettings | None = None

    async def retrieve(
        self, execution: Execution, tenant: TenantId, conversation: str | None
    ) -> list[Passage]:
        """Return what the query service finds.

        :raises Refusal: the query service refused or failed
        """
        result = await self.call_service(
            "query/internal/query",
            {
                "query": execution.input_text,
                "top_k": TOP_K,
                "collection_id": execution.collection,
                "federated": execution.use_auto_federation,
            },
            operation_type="rag_query",
            tenant_id=tenant,
            agent_id=execution.agent_id,
            conversation_id=conversation,
            collection_id=execution.collection,
        )
        if result.error is not None:
            raise _refusal(result)
        return _passages(result.data)

    async def answer(
        self, execution: Execution, passages: list[Passage]
    ) -> AsyncGenerator[str | Envelope, None]:
        """Give the text in pieces, and at last the envelope of the whole."""
        if self.llm is None:
            answer = compose(execution.input_text, passages, execution.where)
            for piece in answer.pieces:
                yield piece
            yield ok(as_data(answer, "extractive", len(passages), execution.agent_id))
            return
        async with aclosing(self._written(self.llm, execution, passages)) as written:
            async for piece_or_end in written:
                yield piece_or_end

    async def _written(
        self, llm: LlmSettings, execution: Execution, passages: list[Passage]
    ) -> AsyncGenerator[str | Envelope, None]:
        relevant = relevant_passages(execution.input_text, passages)
        pieces: list[str] = []
        if not relevant:
            pieces += nothing_found(execution.input_text, execution.where).pieces
            yield pieces[0]
        else:
            async with aclosing(write_answer(llm, execution.input_text, relevant)) as texts:
                async for text in texts:
                    pieces.append(text)
                    yield text
        answer = _cited("".join(pieces), relevant)
        yield ok(as_data(answer, llm.model, len(passages), execution.agent_id))


def build_agent_app(call_service: CallService, llm: LlmSettings | None = None) -> FastAPI:
    """Return the service; ``call_service`` is how it reaches the query service."""
    app = service_app("agent")
    agent = Agent(call_service, llm)

    @app.post("/internal/execute")
    async def execute(body: Execution, tenant: Tenant, request: Request) -> Response:
        conversation = present(request.headers.get("x-conversation-id"))
        passages = await agent.retrieve(body, tenant, conversation)
        answer = agent.answer(body, passages)
        if NDJSON in request.headers.get("accept", ""):
            return StreamingResponse(_lines(answer), media_type=NDJSON)
        return JSONResponse(await _end(answer))

    return app


async def _end(answer: AsyncIterator[str | Envelope]) -> Envelope:
    envelopes = [piece async for piece in answer if not isinstance(piece, str)]
    return envelopes[-1]


async def _lines(answer: AsyncIterator[str | Envelope]) -> AsyncIterator[str]:
    try:
        async for piece in answer:
            yield _line({"output": piece} if isinstance(piece, str) else piece)
    except Refusal as refusal:
        yield _line(refusal.envelope)


def _line(value: Envelope) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _cited(text: str, passages: list[Passage]) -> Answer:
    """Return the text with those sources that it cites, under the numbers that it uses."""
    cited = {int(number) for number in _CITATION.findall(text)}
    sources = [source_of(n, passage) for n, passage in enumerate(passages, start=1) if n in cited]
    return Answer((text,), tuple(sources))


def _passages(data: JSON) -> list[Passage]:
    documents: Any = data.get("documents") if isinstance(data, dict) else None
    try:
        return [
            Passage(
                content=str(found["content"]),
                title=str(found.get("title", "")),
                source=str(found.get("source", "")),
                score=float(found.get("score", 0.0)),
                collection_id=str(found.get("collection_id", "")),
            )
            for found in documents
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = "The query service answered with something else than documents."
        raise Refusal(502, "query_failed", message) from error


def _refusal(result: ServiceResult) -> Refusal:
    error = result.error
    assert error is not None
    told = error.details.get("code")
    if error.code == "not_found" and isinstance(told, str):
        return Refusal(404, told, error.message)
    return Refusal(503, "query_unavailable", error.message, retryable=error.retryable)
