"""The endpoint of Encola's founding document, taken literally: a write to Redis, then ``apply_async``.

Its calls to the history and metrics services are left out: they would only slow it down.
"""

import json
from datetime import UTC, datetime
from uuid import uuid4

from fastapi import FastAPI, Header
from pydantic import BaseModel
from redis.asyncio import Redis

from bench.distributed.peers.celery_app import app as celery_app
from bench.distributed.peers.payload import REDIS_URL

app = FastAPI()
store = Redis.from_url(REDIS_URL)


class AgentExecuteRequest(BaseModel):
    """A question for an agent."""

    input: str
    collection_id: str | None = None
    use_auto_federation: bool = False


@celery_app.task(name="agent_tasks.execute_agent", queue="bench_seed")
def execute_agent(*args: object, _context_data: object = None) -> None:
    """Not run here: no worker takes the job."""


@app.post("/jobs/agent/{agent_id}/execute", response_model=None)
async def create_agent_job(
    agent_id: str, request: AgentExecuteRequest, x_tenant_id: str = Header("default")
) -> dict[str, object]:
    """Register the job, and enqueue it."""
    question = (request.input, request.collection_id, request.use_auto_federation)
    names = ("agent_id", "input_text", "collection_id", "use_auto_federation")
    job_id = await _register(x_tenant_id, dict(zip(names, (agent_id, *question), strict=True)))
    context = {"tenant_id": x_tenant_id, "agent_id": agent_id, "conversation_id": None, "collection_id": None}
    task = execute_agent.apply_async(args=[agent_id, *question], kwargs={"_context_data": context})
    return {"job_id": job_id, "status": "queued", "task_id": task.id}


async def _register(tenant_id: str, params: dict[str, object]) -> str:
    job_id, now = str(uuid4()), datetime.now(UTC).isoformat()
    metadata = {
        "job_id": job_id,
        "tenant_id": tenant_id,
        "job_type": "agent_execution",
        "params": params,
        "status": "queued",
        "created_at": now,
        "updated_at": now,
    }
    await store.set(f"job_metadata:{tenant_id}:{job_id}", json.dumps(metadata), ex=3600)
    return job_id
