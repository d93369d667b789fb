"""Jobs, announcements, cached values and the health of services in Redis or Valkey."""

from encola.adapters.redis.cache import RedisCache
from encola.adapters.redis.circuit_board import RedisCircuitBoard
from encola.adapters.redis.health_board import RedisHealthBoard
from encola.adapters.redis.job_catalog import RedisJobCatalog
from encola.adapters.redis.job_feed import RedisJobFeed
from encola.adapters.redis.job_outputs import RedisJobOutputs
from encola.adapters.redis.job_store import RedisJobStore
from encola.adapters.redis.links import RedisLinks
from encola.adapters.redis.notifier import RedisNotifier
from encola.adapters.redis.stop_signals import RedisStopSignals
from encola.adapters.redis.work_board import RedisWorkBoard

__all__ = [
    "RedisCache",
    "RedisCircuitBoard",
    "RedisHealthBoard",
    "RedisJobCatalog",
    "RedisJobFeed",
    "RedisJobOutputs",
    "RedisJobStore",
    "RedisLinks",
    "RedisNotifier",
    "RedisStopSignals",
    "RedisWorkBoard",
]
