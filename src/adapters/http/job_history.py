"""The durable past, kept by the history service."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any

from encola.application.ports import JobHistory, ServiceCaller
from encola.domain.context import ExecutionContext, JobId, TenantId
from encola.domain.errors import StoreUnavailable
from encola.domain.event import JobEvent
from encola.domain.job import JobStatus
from encola.domain.json_value import JSON
from encola.domain.policy import OperationPolicy, policy_for
from encola.domain.service import ServiceCall, ServiceResult

logger = logging.getLogger(__name__)

_PAGE = 100
_REFUSED_FOR_GOOD = frozenset({400, 413, 422})
_AT_ONCE = 8
_NO_EVENTS = "The history service answered with something else than events."


class HttpJobHistory(JobHistory):
    """Tells the history service of each event, in order per job, under one key per event.

    An event carries no params, so a registration says ``"params": null``: not told. Beside the fields
    of the service's contract both messages have ``seq``, ``attempt``, ``epoch`` and the whole
    ``event``, from which :meth:`events` reads it back.
    """

    def __init__(self, caller: ServiceCaller, service: str = "history") -> None:
        self._caller = caller
        self._service = service

    async def record(self, events: Sequence[JobEvent]) -> None:
        """Keep the events; one that is kept already is kept once.

        An event that the service finds malformed or too large is logged and left out.

        :raises StoreUnavailable: the service did not take one; events after it, or of other jobs,
            may have been taken
        """
        by_job = sorted(events, key=lambda event: (event.tenant_id, event.job_id, event.seq))
        turn = asyncio.Semaphore(_AT_ONCE)
        lives = [list(life) for _, life in groupby(by_job, key=lambda event: (event.tenant_id, event.job_id))]
        # None is cut short by the failure of another one: it may be the call that finds out whether the
        # service is back, while the circuit turns all the others away.
        told = await asyncio.gather(
            *(self._record_life(life, turn) for life in lives), return_exceptions=True
        )
        for error in told:
            if error is not None:
                raise error

    async def events(self, tenant: TenantId, job_id: JobId) -> Sequence[JobEvent]:
        return [_event(tenant, fields) async for fields in self._fields(tenant, job_id)]

    async def forget(self, before: datetime, *, limit: int) -> int:
        """Return 0: how long the past is kept is the service's own affair."""
        return 0

    async def _record_life(self, life: Sequence[JobEvent], turn: asyncio.Semaphore) -> None:
        async with turn:
            for event in life:
                await self._tell(event)

    async def _tell(self, event: JobEvent) -> None:
        is_first = event.seq == 1
        result = await self._call(
            event.tenant_id,
            f"/internal/jobs/{'register' if is_first else 'update'}",
            policy_for("queue_job_create" if is_first else "queue_job_update"),
            _registration(event) if is_first else _update(event),
            key=f"{event.job_id}:{event.epoch}:{event.seq}",
        )
        if result.error is not None and result.error.status in _REFUSED_FOR_GOOD:
            # Told again and again it would only hold up all that happened since.
            code = result.error.code
            logger.error("job %s: the history service refuses event %s: %s", event.job_id, event.seq, code)
        elif not result.success:
            raise _unavailable(result)

    async def _fields(self, tenant: TenantId, job_id: JobId) -> AsyncIterator[Mapping[str, Any]]:
        after = 0
        while page := await self._page(tenant, job_id, after):
            # One number may come under two epochs, and a full page may end between them.
            whole = page if len(page) < _PAGE else [one for one in page if one["seq"] < page[-1]["seq"]]
            for fields in whole:
                yield fields
            if len(page) < _PAGE:
                return
            if not whole:
                raise StoreUnavailable(_NO_EVENTS)
            after = whole[-1]["seq"]

    async def _page(self, tenant: TenantId, job_id: JobId, after: int) -> list[Mapping[str, Any]]:
        policy = policy_for("queue_job_status")
        query: JSON = {"after": after, "limit": _PAGE}
        result = await self._call(tenant, f"/internal/jobs/{job_id}/events", policy, query)
        if result.error is not None and result.error.code == "not_found":
            return []
        if not result.success:
            raise _unavailable(result)
        return _page_of(result.data, after)

    async def _call(
        self, tenant: TenantId, path: str, policy: OperationPolicy, data: JSON, key: str | None = None
    ) -> ServiceResult:
        return await self._caller.call(
            ServiceCall(
                service=self._service,
                path=path,
                operation=policy,
                context=ExecutionContext(tenant_id=tenant),
                method=policy.method,
                data=data,
                timeout=policy.timeout,
                attempts=policy.attempts,
                idempotency_key=key,
            )
        )


def _registration(event: JobEvent) -> dict[str, JSON]:
    return {
        "job_id": event.job_id,
        "job_type": event.job_type,
        "params": None,
        "status": event.status.value,
        **_ordering(event),
    }


def _update(event: JobEvent) -> dict[str, JSON]:
    return {
        "job_id": event.job_id,
        "status": event.status.value,
        "result": event.result,
        "error": event.error,
        "updated_at": event.ts,
        **_ordering(event),
    }


def _ordering(event: JobEvent) -> dict[str, JSON]:
    return {"seq": event.seq, "attempt": event.attempt, "epoch": event.epoch, "event": event.payload}


def _page_of(data: JSON, after: int) -> list[Mapping[str, Any]]:
    """Return the events of one answer, in the order of their numbers and all beyond ``after``."""
    page: Any = data.get("events") if isinstance(data, dict) else None
    try:
        numbers = [after + 1, *(fields["seq"] for fields in page)]
        if any(later < earlier for earlier, later in pairwise(numbers)):
            raise ValueError("the events are not in order")
    except (KeyError, TypeError, ValueError) as error:
        raise StoreUnavailable(_NO_EVENTS) from error
    return list(page)


def _event(tenant: TenantId, fields: Mapping[str, Any]) -> JobEvent:
    try:
        return JobEvent(
            tenant_id=tenant,
            job_id=JobId(fields["job_id"]),
            job_type=fields["job_type"],
            seq=fields["seq"],
            epoch=fields["epoch"],
            status=JobStatus(fields["status"]),
            attempt=fields["attempt"],
            wire=json.dumps(fields, ensure_ascii=False, separators=(",", ":")),
        )
    except (KeyError, ValueError) as error:
        raise StoreUnavailable(_NO_EVENTS) from error


def _unavailable(result: ServiceResult) -> StoreUnavailable:
    said = result.error.message if result.error else "no reason given"
    return StoreUnavailable(f"The history service did not answer as it should: {said}")
