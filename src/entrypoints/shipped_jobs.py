"""The job types that come with Encola; each is a call to the service of its name."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from encola.application.handlers import HandlerRegistry, JobType
from encola.application.job_context import JobContext
from encola.domain.errors import JobFailed
from encola.domain.json_value import JSON
from encola.domain.policy import RetryPolicy
from encola.domain.service import ServiceResult

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:@-]{1,128}$")]


class AgentParams(BaseModel):
    """What an agent is asked."""

    model_config = ConfigDict(extra="forbid")

    agent_id: Name | None = None
    input_text: Text
    collection_id: Name | None = None
    use_auto_federation: bool = False


class Document(BaseModel):
    """A text to search in later."""

    model_config = ConfigDict(extra="forbid")

    title: str | None = Field(default=None, max_length=300)
    content: Text


class EmbeddingParams(BaseModel):
    """Documents for a collection, which comes to be with its first one."""

    model_config = ConfigDict(extra="forbid")

    collection_id: Name
    documents: list[Document] = Field(min_length=1, max_length=100)


class QueryParams(BaseModel):
    """A search in a collection."""

    model_config = ConfigDict(extra="forbid")

    query: Text
    top_k: int = Field(default=5, ge=1, le=50)
    collection_id: Name | None = None


async def execute_agent(ctx: JobContext, params: AgentParams) -> JSON:
    """Ask the agent service, and pass its words on as they come."""
    await ctx.progress(0, 2, "Consultando documentos")
    answered = await ctx.call_service(
        "agent",
        "/internal/execute",
        {
            "agent_id": params.agent_id or ctx.agent_id,
            "input_text": params.input_text,
            "collection_id": params.collection_id or ctx.collection_id,
            "use_auto_federation": params.use_auto_federation,
        },
        operation_type="agent_execution",
        idempotency_key=ctx.job_id,
        on_output=ctx.output("answer").write,
    )
    result = _unwrap(answered)
    await ctx.progress(2, 2, "Respuesta lista")
    return result


async def embed_documents(ctx: JobContext, params: EmbeddingParams) -> JSON:
    """Have the embedding service take documents into a collection, one call a document."""
    total = len(params.documents)
    chunks = 0
    for index, document in enumerate(params.documents):
        await ctx.progress(index, total, "Indexando documentos")
        answered = await ctx.call_service(
            "embedding",
            "/internal/embed",
            {
                "collection_id": params.collection_id,
                "documents": [document.model_dump(exclude_none=True)],
            },
            operation_type="agent_execution",
            idempotency_key=f"{ctx.job_id}:{index}",
        )
        # Answers from before would go on being given for an hour.
        await ctx.invalidate(f"collection:{params.collection_id}")
        chunks += _count(_unwrap(answered), "chunks")
    await ctx.progress(total, total, "Documentos listos")
    return {"collection_id": params.collection_id, "documents": total, "chunks": chunks}


async def run_query(ctx: JobContext, params: QueryParams) -> JSON:
    """Search a collection through the query service."""
    question: dict[str, JSON] = {"query": params.query, "top_k": params.top_k}
    if params.collection_id:
        question["collection_id"] = params.collection_id
    return _unwrap(await ctx.call_service("query", "/internal/query", question, operation_type="rag_query"))


def register_shipped_jobs(registry: HandlerRegistry) -> None:
    """Add ``agent_execution``, ``embedding`` and ``query``; a user's own of that name takes their place."""
    minute = timedelta(minutes=1)
    _register(registry, "agent_execution", execute_agent, "agent_tasks", AgentParams, 5 * minute)
    _register(registry, "embedding", embed_documents, "embedding_tasks", EmbeddingParams, 5 * minute)
    _register(registry, "query", run_query, "query_tasks", QueryParams, minute)


def _register(
    registry: HandlerRegistry,
    name: str,
    function: Callable[[JobContext, Any], Awaitable[JSON]],
    queue: str,
    params_model: type[BaseModel],
    timeout: timedelta,
) -> None:
    registry.add(
        JobType(
            name=name,
            function=function,
            queue=queue,
            params_model=params_model,
            timeout=timeout,
            retry=RetryPolicy(retries=2),
            is_shipped=True,
        )
    )


def _count(data: JSON, name: str) -> int:
    count = data.get(name) if isinstance(data, dict) else None
    return count if isinstance(count, int) else 0


def _unwrap(result: ServiceResult) -> JSON:
    """Return the data, or fail the job as the service failed."""
    if result.success:
        return result.data
    error = result.error
    assert error is not None  # an unsuccessful result has one
    raise JobFailed(error.message, code=error.code, retryable=error.retryable)
