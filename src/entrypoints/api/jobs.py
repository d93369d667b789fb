"""REST: submitting, reading, stopping and repeating jobs."""

import asyncio
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from encola.application.follow_job import Since
from encola.application.ports import JobFilter
from encola.application.submit_job import Submission, Submitted
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.job import Job, JobStatus
from encola.domain.json_value import JSON
from encola.entrypoints.api.headers import CONTEXT, KEY, PREFER, reads
from encola.entrypoints.api.problems import answers
from encola.entrypoints.api.responses import (
    MAX_WAIT,
    api_base,
    has_state,
    idempotency_key,
    job_response,
    not_modified,
    preferred_wait,
)
from encola.entrypoints.api.schemas import (
    EnqueueAgent,
    Enqueued,
    ExecuteAgent,
    JobsPage,
    JobView,
    Name,
    NewJob,
    Tag,
    job_view,
)
from encola.entrypoints.api.strict import StrictRoute
from encola.entrypoints.api.tenancy import context_of, request_tenant, use_cases_of
from encola.entrypoints.use_cases import UseCases

router = APIRouter(route_class=StrictRoute)
internal = APIRouter(route_class=StrictRoute, tags=["internal"])

Tenant = Annotated[TenantId, Depends(request_tenant)]
JobIdPath = Annotated[str, Path(description="the id that the submit answered with", max_length=100)]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]

_SUBMIT = answers(400, 403, 413, 415, 422, 503) | {
    200: {"model": JobView, "description": "It ended in time."}
}
_CHANGE = answers(400, 403, 404, 409, 422, 503)


@router.post(
    "/jobs/agent/{agent_id}/execute",
    status_code=202,
    response_model=JobView,
    responses=_SUBMIT,
    tags=["jobs"],
    openapi_extra=reads(*CONTEXT, KEY, PREFER),
)
async def execute_agent(
    request: Request,
    agent_id: Name,
    body: ExecuteAgent,
) -> Response:
    """Ask an agent; the answer comes as a job."""
    params = _agent_params(agent_id, body.input, body.collection_id, body.use_auto_federation)
    context = _for_agent(context_of(request), agent_id, body.collection_id)
    return await _submit(
        request,
        Submission(
            type="agent_execution", params=params, context=context, idempotency_key=idempotency_key(request)
        ),
    )


@router.post(
    "/jobs",
    status_code=202,
    response_model=JobView,
    responses=_SUBMIT,
    tags=["jobs"],
    openapi_extra=reads(*CONTEXT, KEY, PREFER),
)
async def submit_job(request: Request, body: NewJob) -> Response:
    """Submit a job of any type."""
    return await _submit(
        request,
        Submission(
            type=body.type,
            params=body.params,
            context=context_of(request),
            queue=body.queue,
            priority=body.priority,
            delay=_seconds(body.delay),
            run_at=body.run_at,
            ttl=_seconds(body.ttl),
            timeout=_seconds(body.timeout),
            retries=body.retries,
            use_cache=body.use_cache,
            tags=tuple(body.tags),
            idempotency_key=idempotency_key(request),
        ),
    )


@router.get("/jobs", response_model=JobsPage, responses=answers(400, 422, 503), tags=["jobs"])
async def list_jobs(
    request: Request,
    tenant: Tenant,
    status: Annotated[list[JobStatus] | None, Query()] = None,
    type: Annotated[list[Name] | None, Query()] = None,
    tag: Annotated[list[Tag] | None, Query()] = None,
    created_after: AwareDatetime | None = None,
    created_before: AwareDatetime | None = None,
    q: Annotated[
        str | None, Query(min_length=1, max_length=200, description="text in id, params, error")
    ] = None,
    limit: Annotated[int, Query(ge=1, description="cut to 100")] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> dict[str, object]:
    """List jobs, newest first."""
    job_filter = JobFilter(
        statuses=tuple(status or ()),
        types=tuple(type or ()),
        tags=tuple(tag or ()),
        created_after=created_after,
        created_before=created_before,
        text=q,
    )
    page = await use_cases_of(request).list_jobs(tenant, job_filter, cursor=cursor, limit=limit)
    base = api_base(request)
    return {"jobs": [job_view(job, base) for job in page.jobs], "next_cursor": page.next_cursor}


@router.get("/jobs/{job_id}", response_model=JobView, responses=answers(400, 404, 422, 503), tags=["jobs"])
@router.get(
    "/jobs/{job_id}/status", response_model=JobView, responses=answers(400, 404, 422, 503), tags=["jobs"]
)
async def read_job(
    request: Request,
    job_id: JobIdPath,
    tenant: Tenant,
    wait: Annotated[
        float | None, Query(ge=0, description="wait so many seconds for news, at most 60")
    ] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Read a job.

    With `wait` the answer is held back until the job has ended; with `If-None-Match` too, only until
    it is in another state than the one named there.
    """
    use_cases = use_cases_of(request)
    job = await use_cases.get_job(tenant, job_id)
    any_change = "if-none-match" in request.headers
    if wait and (has_state(request, job) or not any_change):
        job = await _await_news(use_cases, job, min(wait, MAX_WAIT), any_change=any_change)
    return not_modified(job) if has_state(request, job) else job_response(request, job)


@router.post(
    "/jobs/{job_id}/cancel",
    response_model=JobView,
    responses=_CHANGE,
    tags=["jobs"],
)
async def cancel_job(request: Request, job_id: JobIdPath, tenant: Tenant) -> Response:
    """Stop a job. What waits never runs; what runs is cancelled. Asking again changes nothing."""
    return job_response(request, await use_cases_of(request).cancel_job(tenant, job_id))


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    response_model=JobView,
    responses=_CHANGE,
    tags=["jobs"],
)
async def retry_job(request: Request, job_id: JobIdPath, tenant: Tenant) -> Response:
    """Queue a job again that ended without completing."""
    return job_response(request, await use_cases_of(request).retry_job(tenant, job_id), status=202)


@internal.post(
    "/internal/enqueue_agent",
    status_code=202,
    response_model=Enqueued,
    responses=answers(400, 403, 413, 415, 422, 503),
    openapi_extra=reads(*CONTEXT, KEY),
)
async def enqueue_agent(request: Request, response: Response, body: EnqueueAgent) -> dict[str, object]:
    """Ask an agent, as another service does."""
    submission = Submission(
        type="agent_execution",
        params=_agent_params(body.agent_id, body.input_text, body.collection_id, body.use_auto_federation),
        context=_for_agent(context_of(request), body.agent_id, body.collection_id),
        priority=body.priority,
        idempotency_key=idempotency_key(request),
    )
    submitted = await use_cases_of(request).submit_job(submission)
    response.headers.update(_submit_headers(request, submitted))
    return {"success": True, "data": job_view(submitted.job, api_base(request))}


async def _submit(request: Request, submission: Submission) -> Response:
    use_cases = use_cases_of(request)
    submitted = await use_cases.submit_job(submission)
    job, headers = submitted.job, _submit_headers(request, submitted)
    wait = preferred_wait(request)
    if wait is None:
        return job_response(request, job, status=202, headers=headers)
    job = await _await_news(use_cases, job, wait, any_change=False)
    headers["Preference-Applied"] = f"wait={wait}"
    return job_response(request, job, status=200 if job.status.is_terminal else 202, headers=headers)


def _submit_headers(request: Request, submitted: Submitted) -> dict[str, str]:
    headers = {"Location": f"{api_base(request)}/jobs/{submitted.job.id}"}
    if submitted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return headers


async def _await_news(use_cases: UseCases, job: Job, seconds: float, *, any_change: bool) -> Job:
    """Return the job once it has ended, or changed at all, or the time is over."""
    since = Since(seq=job.seq, epoch=job.epoch)
    try:
        async with asyncio.timeout(seconds):
            await use_cases.follow_job.until(
                job.tenant_id, job.id, since, lambda event: any_change or event.final
            )
    except TimeoutError:
        pass
    return await use_cases.get_job(job.tenant_id, job.id)


def _agent_params(agent_id: str, text: str, collection_id: str | None, federate: bool | None) -> JSON:
    return {
        "agent_id": agent_id,
        "input_text": text,
        "collection_id": collection_id,
        "use_auto_federation": bool(federate),
    }


def _for_agent(context: ExecutionContext, agent_id: str, collection_id: str | None) -> ExecutionContext:
    named = {"agent_id": agent_id, **({"collection_id": collection_id} if collection_id else {})}
    return ExecutionContext.from_mapping({**context.as_mapping(), **named})


def _seconds(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
