"""Health and numbers."""

from collections import Counter, defaultdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from encola.domain.job import JobStatus
from encola.entrypoints.api.jobs import Tenant
from encola.entrypoints.api.problems import answers
from encola.entrypoints.api.schemas import QueueMetrics, Readiness, ready_service, service_view
from encola.entrypoints.api.strict import StrictRoute
from encola.entrypoints.api.tenancy import use_cases_of

router = APIRouter(route_class=StrictRoute, tags=["operations"])
root = APIRouter(route_class=StrictRoute, tags=["operations"])

_HEALTH: dict[int | str, dict[str, Any]] = {
    503: {"description": "Something it needs does not answer.", "model": Readiness}
}
_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}


@router.get("/metrics", response_model=QueueMetrics, responses=answers(400, 422, 503))
async def queue_metrics(request: Request, tenant: Tenant) -> QueueMetrics:
    """Count the tenant's jobs, and say which services are up."""
    use_cases = use_cases_of(request)
    by_status: Counter[str] = Counter()
    by_type: defaultdict[str, Counter[str]] = defaultdict(Counter)
    by_queue: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for group in await use_cases.count_jobs(tenant):
        by_status[group.status] += group.count
        by_type[group.type][group.status] += group.count
        by_queue[group.queue][group.status] += group.count
    jobs = {status.value: by_status[status] for status in JobStatus}
    ended = {f"work_queue_job_{status}": by_status[status] for status in JobStatus if status.is_terminal}
    return QueueMetrics(
        jobs=jobs,
        types={name: dict(counts) for name, counts in by_type.items()},
        queues={name: dict(counts) for name, counts in by_queue.items()},
        counters={"work_queue_job_registered": sum(jobs.values()), **ended},
        services={name: service_view(health) for name, health in use_cases.service_health.known().items()},
    )


@root.get("/livez", responses=answers(400))
async def livez() -> dict[str, str]:
    """Say that the process is alive."""
    return {"status": "ok"}


@root.get("/readyz", response_model=Readiness, responses=answers(400) | _HEALTH)
@root.get("/health", response_model=Readiness, responses=answers(400) | _HEALTH)
async def readyz(request: Request) -> JSONResponse:
    """Say whether the process can do its work, and which services are up.

    A service that is down does not make it unready: it can still accept jobs, and every other process
    would be taken out of service at the same moment for the same reason.
    """
    use_cases = use_cases_of(request)
    health = await use_cases.check_health()
    stopping = request.app.state.runtime.stopping.is_set()
    ready = health.is_ready and not stopping
    body = Readiness(
        status="ok" if ready else "unavailable",
        checks={name: problem or "ok" for name, problem in health.checks.items()},
        services={name: ready_service(seen) for name, seen in use_cases.service_health.known().items()},
        message=None if ready else "shutting down" if stopping else "a check failed",
    )
    return JSONResponse(
        body.model_dump(mode="json"),
        status_code=200 if ready else 503,
        headers={"Cache-Control": "no-store"},
    )


@root.get("/metrics", responses=answers(400) | _TEXT)
async def prometheus(request: Request) -> Response:
    """Give the process's metrics in Prometheus' text format."""
    body = use_cases_of(request).render_metrics()
    return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")
