"""Jobs carried by RabbitMQ to Celery workers."""

from encola.adapters.celery.job_queue import CeleryJobQueue
from encola.adapters.celery.tasks import create_context_task, handler_of
from encola.adapters.celery.worker import CeleryWorker

__all__ = ["CeleryJobQueue", "CeleryWorker", "create_context_task", "handler_of"]
