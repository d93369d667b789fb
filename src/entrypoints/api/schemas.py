"""The bodies of requests and answers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from encola.domain.event import error_fields, progress_fields, rfc3339
from encola.domain.health import ServiceHealth, ServiceStatus
from encola.domain.job import Job, JobStatus, Priority

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:@-]{1,128}$")]
Tag = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Json = Any


class Body(BaseModel):
    """A request's body; fields it does not know are refused."""

    model_config = ConfigDict(extra="forbid")


class ExecuteAgent(Body):
    """A question for an agent."""

    input: Text = Field(examples=["How do I watch a job?"])
    collection_id: Name | None = Field(None, examples=["docs"])
    use_auto_federation: bool | None = Field(None, description="search all of the tenant's collections")


class EnqueueAgent(Body):
    """A question for an agent, as other services ask it."""

    agent_id: Name
    input_text: Text
    priority: Priority | None = None
    collection_id: Name | None = None
    use_auto_federation: bool | None = None


class NewJob(Body):
    """A job of any type. Durations are seconds."""

    type: Name = Field(examples=["query"])
    params: Json = Field(None, examples=[{"query": "leases"}])
    queue: Name | None = None
    priority: Priority | None = None
    delay: float | None = Field(None, ge=0, le=31_622_400, description="wait so long before it may run")
    run_at: AwareDatetime | None = Field(None, description="do not run before this instant")
    ttl: float | None = Field(None, ge=0, le=31_622_400, description="expire after being due for so long")
    timeout: float | None = Field(None, gt=0, le=86_400, description="stop an attempt after so long")
    retries: int | None = Field(None, ge=0, le=100, description="how often to try again")
    use_cache: bool = Field(False, description="take the result of an equal job, if its type allows")
    tags: list[Tag] = Field(default_factory=list, max_length=32)


class ProgressView(BaseModel):
    """How far a job is."""

    current: float
    total: float
    percent: int
    message: str


class ErrorInfo(BaseModel):
    """The machine's part of an error."""

    code: str
    retryable: bool


class JobView(BaseModel):
    """A job as it is now."""

    job_id: str
    task_id: str = Field(description="the same as job_id")
    type: str
    job_type: str = Field(description="the same as type, as events name it")
    status: JobStatus
    final: bool
    queue: str
    priority: Priority
    params: Json
    tags: list[str]
    attempt: int
    seq: int
    epoch: str
    created_at: str
    updated_at: str
    run_at: str | None
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    progress: ProgressView | None
    result: Json
    cached: bool
    error: str | None
    error_info: ErrorInfo | None
    context: dict[str, str]
    links: dict[str, str]


class JobsPage(BaseModel):
    """Some jobs, newest first."""

    jobs: list[JobView]
    next_cursor: str | None = Field(description="ask with ?cursor= for what follows; null at the end")


class Enqueued(BaseModel):
    """The answer of the internal route."""

    success: Literal[True] = True
    data: JobView


class EventView(BaseModel):
    """One event of a job, as on every transport."""

    model_config = ConfigDict(extra="allow")

    v: Literal[1]
    seq: int
    epoch: str
    type: Literal["status_update", "job_completed", "job_error"]
    job_id: str
    job_type: str
    status: JobStatus
    final: bool
    attempt: int
    ts: str
    progress: ProgressView | None = None
    result: Json = None
    error: str | None = None
    error_info: ErrorInfo | None = None
    due_at: str | None = Field(None, description="when a scheduled or retrying job goes on")
    cached: bool = Field(False, description="the result is that of an equal job")


class EventsPage(BaseModel):
    """The events that are still kept after ``since``; all of them, or only the present state."""

    events: list[EventView]
    complete: bool = Field(description="false when what followed `since` is no longer kept whole")


class ServiceView(BaseModel):
    """What is known of another service."""

    status: ServiceStatus
    since: str | None = Field(description="when it came into this status")
    checked_at: str | None = Field(description="when it was probed last")


class ReadyService(ServiceView):
    """What is known of another service, for those who run it."""

    failures: int = Field(description="probes that failed in a row")
    problem: str | None = Field(description="what was wrong with the last one")


class Readiness(BaseModel):
    """Whether the process can do its work."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]
    services: dict[str, ReadyService] = Field(description="by name; they do not decide about `status`")
    message: str | None = Field(None, description="why it is unavailable")


class QueueMetrics(BaseModel):
    """A tenant's jobs in numbers."""

    jobs: dict[str, int] = Field(description="by status")
    types: dict[str, dict[str, int]] = Field(description="by type and status")
    queues: dict[str, dict[str, int]] = Field(description="by queue and status")
    counters: dict[str, int] = Field(description="under the seed's names")
    services: dict[str, ServiceView] = Field(description="other services by name")


def job_view(job: Job, base: str) -> dict[str, Any]:
    """Return the job's resource; ``base`` is the path under which the API lies."""
    return {
        "type": job.type,
        "queue": job.queue,
        "params": job.params,
        "tags": list(job.tags),
        "attempt": job.attempt,
        "seq": job.seq,
        "epoch": job.epoch,
        "job_id": job.id,
        "task_id": job.id,
        "job_type": job.type,
        "status": job.status.value,
        "final": job.status.is_terminal,
        "priority": job.priority.value,
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(job.updated_at),
        "run_at": _instant(job.due_at),
        "started_at": _instant(job.started_at),
        "finished_at": _instant(job.finished_at),
        "expires_at": _instant(job.expires_at),
        "progress": None if job.progress is None else progress_fields(job.progress),
        "result": job.result,
        "cached": job.cached,
        "error": None if job.error is None else job.error.message,
        "error_info": None if job.error is None else error_fields(job.error),
        "context": job.context.as_mapping(),
        "links": job_links(job, base),
    }


def job_links(job: Job, base: str) -> dict[str, str]:
    """Return where to read, watch, stop and repeat the job."""
    self = f"{base}/jobs/{job.id}"
    return {
        "self": self,
        "events": f"{self}/events",
        "cancel": f"{self}/cancel",
        "retry": f"{self}/retry",
        "websocket": f"{base}/ws/jobs/{job.id}",
    }


def service_view(health: ServiceHealth) -> ServiceView:
    """Return what anybody may know of a service."""
    return ServiceView(
        status=health.status, since=_instant(health.since), checked_at=_instant(health.checked_at)
    )


def ready_service(health: ServiceHealth) -> ReadyService:
    """Return all that is known of a service."""
    seen = service_view(health).model_dump()
    return ReadyService(**seen, failures=health.failures, problem=health.problem)


def etag_of(job: Job) -> str:
    """Return the strong validator of the job's present state."""
    return f'"{job.epoch}-{job.seq}"'


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)
