"""Celery's queue, from the publisher to a worker, keeps what the port promises."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from celery_workers import publishing, working

from encola.adapters.celery import CeleryJobQueue
from encola.application.ports import JobDeliveries
from encola.domain.job import Job
from encola.testing import contracts


class Deliveries(JobDeliveries):
    """What a worker was given to run."""

    def __init__(self) -> None:
        self.jobs: asyncio.Queue[Job] = asyncio.Queue()

    async def receive(self) -> Job:
        return await self.jobs.get()


class OverRabbitMQ(contracts.JobQueueContract):
    queue_type = "classic"

    @pytest.fixture
    async def queue(self, url: str) -> AsyncIterator[CeleryJobQueue]:
        async with publishing(url, queue_type=self.queue_type) as queue:
            yield queue

    @pytest.fixture
    async def deliveries(self, url: str) -> AsyncIterator[Deliveries]:
        deliveries = Deliveries()
        queues = ["agent_tasks", "query_tasks"]
        async with working(url, deliveries.jobs.put, queues=queues, queue_type=self.queue_type):
            yield deliveries


class TestClassicQueues(OverRabbitMQ):
    pass


class TestQuorumQueues(OverRabbitMQ):
    queue_type = "quorum"
