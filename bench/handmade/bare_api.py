"""FastAPI alone: the body is checked, and nothing is kept."""

from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class NewJob(BaseModel):
    """What is asked for."""

    type: str
    params: Any = None


@app.post("/api/jobs", status_code=202)
async def create_job(job: NewJob) -> dict[str, str]:
    """Answer as if there were a job."""
    job_id = str(uuid4())
    return {"job_id": job_id, "task_id": job_id, "status": "queued"}
