"""REST and WebSocket in front of :mod:`bench.handmade.tasks`."""

import json
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, WebSocket
from pydantic import BaseModel
from redis.asyncio import Redis

from bench.distributed.peers.payload import REDIS_URL
from bench.handmade import tasks

app = FastAPI()
# Each socket takes a connection for its subscription; redis-py would stop at 100.
store = Redis.from_url(REDIS_URL, max_connections=1000, decode_responses=True)
ENDED = ("completed", "failed")


class NewJob(BaseModel):
    """What is asked for."""

    type: str
    params: Any = None


@app.post("/api/jobs", status_code=202)
async def create_job(job: NewJob) -> dict[str, str]:
    """Keep the state, and enqueue."""
    job_id = str(uuid4())
    first = tasks.state(job_id, "status_update", "queued")
    await store.set(tasks.key_of(job_id), first, ex=tasks.KEPT_SECONDS)
    tasks.app.tasks[job.type].delay(job_id, job.params)
    return {"job_id": job_id, "status": "queued"}


@app.websocket("/api/ws/jobs/{job_id}")
async def watch_job(socket: WebSocket, job_id: str) -> None:
    """Send the state as it is once the subscription stands, and then each that follows."""
    await socket.accept()
    async with store.pubsub() as subscription:
        await subscription.subscribe(tasks.channel_of(job_id))
        async for message in subscription.listen():
            is_new = message["type"] == "message"
            text = message["data"] if is_new else await store.get(tasks.key_of(job_id))
            await socket.send_text(text)
            if json.loads(text)["status"] in ENDED:
                break
    await socket.close()
