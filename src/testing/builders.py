"""Values for tests: whole, and the same in every run."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from encola.domain.context import ExecutionContext, JobId, TenantId
from encola.domain.event import JobEvent, announce
from encola.domain.fingerprint import digest, fingerprint
from encola.domain.job import Job, JobError, Progress
from encola.domain.json_value import JSON
from encola.domain.output import OutputChunk
from encola.domain.policy import RetryPolicy

ACME = TenantId("acme")
GLOBEX = TenantId("globex")

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
FLAW = JobError(code="flaw", message="It did not work.")
HICCUP = JobError(code="hiccup", message="It did not work this time.", retryable=True)


def after(seconds: float) -> datetime:
    """Return the instant so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def an_id(number: int) -> JobId:
    """Return a well-formed job id; a higher number gives a higher id."""
    return JobId(f"01900000-0000-7000-8000-{number:012x}")


def a_job(number: int = 1, *, tenant: TenantId = ACME, params: JSON = None, **fields: Any) -> Job:
    """Return a job that is queued and due at noon; a field that is given replaces the usual one."""
    context = fields.pop("context", ExecutionContext(tenant_id=tenant))
    job_type = fields.pop("type", "report")
    usual: dict[str, Any] = {
        "id": an_id(number),
        "queue": "agent_tasks",
        "epoch": f"e{number}",
        "created_at": NOON,
        "updated_at": NOON,
        "due_at": NOON,
        "fingerprint": fingerprint(job_type, params, context),
        "request_digest": digest([job_type, params]),
    }
    return Job(context=context, type=job_type, params=params, **(usual | fields))


def a_full_job(number: int = 1) -> Job:
    """Return a running job in which every field differs from its default."""
    context = ExecutionContext(
        tenant_id=ACME,
        agent_id="agent:1",
        conversation_id="talk-2",
        collection_id="docs@3",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate="rojo=00f067aa0ba902b7",
        baggage="plan=a%20b",
        request_id="req-4",
    )
    job = a_job(
        number,
        context=context,
        params={"text": "Ünïcode ✓ \u0000 'quoted' \"twice\" \\", "deep": [1, 2.5, [True, None, {}]]},
        queue="query_tasks",
        retry=RetryPolicy(retries=3, lost_retries=1, first_delay=timedelta(milliseconds=7), max_delay=LEASE),
        timeout=timedelta(microseconds=90_000_001),
        tags=("nightly", "ñ"),
        use_cache=True,
        created_at=NOON + timedelta(microseconds=1),
        expires_at=after(3600),
        check_at=after(3600),
    )
    again = job.claimed(after(1), LEASE).failed(HICCUP, after(2), 0.5).claimed(after(9), LEASE)
    running = again.progressed(Progress(current=1, total=3.5, message="…"), after(10), LEASE)
    return replace(running, losses=1, result=[0], cached=True, error=FLAW, finished_at=after(11), due_at=NOON)


def a_life(job: Job, *, result: JSON = "done") -> list[Job]:
    """Return the versions of a job that runs well: as given, claimed, progressed, completed."""
    claimed = job.claimed(after(1), LEASE)
    progressed = claimed.progressed(Progress(current=1, total=2, message="half"), after(2), LEASE)
    return [job, claimed, progressed, progressed.completed(result, after(3))]


def a_long_life(job: Job, versions: int) -> list[Job]:
    """Return that many versions of a job, which reports its progress again and again."""
    life = [job, job.claimed(after(1), LEASE)]
    while len(life) < versions:
        progress = Progress(current=len(life), total=versions)
        life.append(life[-1].progressed(progress, after(len(life)), LEASE))
    return life


def an_event(number: int = 1, *, tenant: TenantId = ACME, seq: int = 1, **fields: Any) -> JobEvent:
    """Return the event of a job's state under this ``seq``."""
    return announce(a_job(number, tenant=tenant, seq=seq, **fields))


def a_chunk(job: Job, text: str, *, offset: int = 0, name: str = "answer") -> OutputChunk:
    """Return a piece of output by the attempt under which the job runs."""
    return OutputChunk(
        tenant_id=job.tenant_id,
        job_id=job.id,
        attempt=job.attempt,
        name=name,
        offset=offset,
        text=text,
    )
