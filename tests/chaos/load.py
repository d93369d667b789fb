"""Several tenants at work: they submit, watch, cancel, and look where they should see nothing."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.front import Front, GaveUp
from tests.chaos.plan import Order
from tests.chaos.watchers import Watch, Watchers

AT_ONCE = 64
CANCELLED, TOO_LATE, ACCEPTED, HIDDEN = 200, 409, 202, 404


@dataclass(slots=True, kw_only=True)
class Purchase:
    """What came of one order.

    :ivar cancel_status: how the cancel was answered, ``None`` if nobody cancelled
    :ivar faults: what this client should not have been answered, as sentences
    """

    order: Order
    job_id: str | None = None
    accepted_at: float | None = None
    cancel_status: int | None = None
    watch: Watch | None = None
    faults: list[str] = field(default_factory=list)


class Load:
    """Carries out the orders, each at its time.

    :ivar purchases: the orders that were begun
    """

    def __init__(self, front: Front, orders: Sequence[Order]) -> None:
        self.purchases: list[Purchase] = []
        self._orders = orders
        self._front = front
        self._is_over = False
        self._places = asyncio.Semaphore(AT_ONCE)
        self._watchers = Watchers(front.urls)

    async def run(self) -> None:
        """Return when every order was accepted, or given up."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for order in self._orders:
                await asyncio.sleep(began + order.at - time.monotonic())
                await self._places.acquire()
                if self._is_over:
                    return
                self.purchases.append(Purchase(order=order))
                group.create_task(self._serve(self.purchases[-1]))

    def stop(self) -> None:
        """Begin with no further order."""
        self._is_over = True

    async def end(self, watchers_seconds: float) -> None:
        """Return when each watcher saw the end of its job; those that do not in time are stopped."""
        await self._watchers.end(watchers_seconds)

    async def _serve(self, purchase: Purchase) -> None:
        try:
            await self._submit(purchase)
            if purchase.job_id is None:
                return
            self._watch(purchase, purchase.job_id)
            await self._intrude(purchase, purchase.job_id)
        except GaveUp as error:
            purchase.faults.append(str(error))
        finally:
            self._places.release()
        await self._cancel(purchase, purchase.job_id)

    async def _submit(self, purchase: Purchase) -> None:
        order = purchase.order
        answers = [await self._post(order, order.number)]
        if order.intruder is not None:  # one in twenty, who also asks twice
            answers.append(await self._post(order, order.number + 1))
        for answer in answers:
            if answer.status_code != ACCEPTED:
                purchase.faults.append(f"the submit was answered with {answer.status_code}: {answer.text}")
                return
        ids = {answer.json()["job_id"] for answer in answers}
        if len(ids) > 1:
            purchase.faults.append(f"one key was given the jobs {sorted(ids)}")
        purchase.job_id = answers[0].json()["job_id"]
        purchase.accepted_at = time.time()

    async def _post(self, order: Order, turn: int) -> httpx.Response:
        body: dict[str, Any] = {"type": order.type, "params": dict(order.params)}
        if order.delay is not None:
            body["delay"] = order.delay
        context = order.context
        headers = {
            "Idempotency-Key": order.key,
            "X-Agent-ID": context["agent_id"],
            "X-Request-ID": context["request_id"],
            "X-Conversation-ID": context["conversation_id"],
        }
        return await self._front.ask(
            "POST", "/api/jobs", tenant=order.tenant, start=turn, headers=headers, json=body
        )

    def _watch(self, purchase: Purchase, job_id: str) -> None:
        order = purchase.order
        if order.watched_over is None:
            return
        purchase.watch = Watch(tenant=order.tenant, job_id=job_id, channel=order.watched_over)
        self._watchers.add(purchase.watch, order.number)

    async def _intrude(self, purchase: Purchase, job_id: str) -> None:
        intruder = purchase.order.intruder
        if intruder is None:
            return
        for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")):
            answer = await self._front.ask(
                method,
                f"/api/jobs/{job_id}{path}",
                tenant=intruder,
                start=purchase.order.number,
                headers={"Accept": "application/json"},
            )
            if answer.status_code != HIDDEN:
                purchase.faults.append(f"{intruder} was answered {answer.status_code} to {method} {path}")

    async def _cancel(self, purchase: Purchase, job_id: str | None) -> None:
        order = purchase.order
        if order.cancel_after is None or job_id is None:
            return
        await asyncio.sleep(order.cancel_after)
        try:
            answer = await self._front.ask(
                "POST", f"/api/jobs/{job_id}/cancel", tenant=order.tenant, start=order.number + 1
            )
        except GaveUp as error:
            purchase.faults.append(str(error))
            return
        purchase.cancel_status = answer.status_code
        if answer.status_code not in (CANCELLED, TOO_LATE):
            purchase.faults.append(f"the cancel was answered with {answer.status_code}: {answer.text}")
