"""Policies as data: how often to try a job again, and how a call to a service behaves."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from encola.domain.errors import UnknownOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a job is tried again, and after how long.

    ``retries`` bounds the attempts that a handler's error costs, ``lost_retries`` those that a dead
    worker costs. A type that declares nothing is not repeated for its own errors, but survives a
    few deaths of its worker, which are not its fault.
    """

    retries: int = 0
    lost_retries: int = 3
    first_delay: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(minutes=5)

    @classmethod
    def of(cls, retries: int | None) -> "RetryPolicy":
        """Return the policy for a declared number of retries; ``None`` is "nothing declared".

        Whoever declares a number means all attempts: with 0 a job is never started twice.
        """
        return cls() if retries is None else cls(retries=retries, lost_retries=retries)

    def delay(self, failure: int, chance: float) -> timedelta:
        """Return the wait after the ``failure``-th failure (from 1).

        Full jitter: uniform between zero and the capped exponential ("Exponential Backoff And
        Jitter", AWS Architecture Blog, 2015). ``chance`` is uniform in [0, 1).
        """
        doublings = min(failure - 1, 32)
        longest: timedelta = min(self.max_delay, self.first_delay * 2**doublings)
        return chance * longest


class Repeat(StrEnum):
    """When a call may be sent again."""

    SAFE = "safe"  # reading, or told to be
    NATURAL = "natural"  # twice does what once does
    KEYED = "keyed"  # one Idempotency-Key over all attempts
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationPolicy:
    """How one kind of call behaves. Durations are in seconds; ``timeout`` covers all attempts.

    Of an answer that is cached: it is fresh for ``ttl``. For ``swr`` after that it is still given while
    it is fetched anew, and for ``sie`` when that fails. That there is nothing (404, 410) is kept for
    ``negative_ttl``. It differs with the names of the context in ``vary``, and carries ``tags``, in which
    ``{collection_id}`` and the like stand for names of the context. A call of this operation forgets
    what carries a tag of ``invalidates``.
    """

    name: str
    timeout: float
    ttl: int = 0
    method: str = "POST"
    repeat: Repeat = Repeat.KEYED
    attempts: int = 3
    attempt_share: float = 0.4
    caches_response: bool = False
    swr: float = 0.0
    sie: float = 0.0
    negative_ttl: float = 0.0
    vary: tuple[str, ...] = ("agent_id", "conversation_id", "collection_id")
    tags: tuple[str, ...] = ()
    invalidates: tuple[str, ...] = ()

    @property
    def attempt_timeout(self) -> float:
        """Return what one attempt may take; a single attempt has the whole time."""
        return self.timeout if self.attempts == 1 else self.attempt_share * self.timeout


def _table(*policies: OperationPolicy) -> dict[str, OperationPolicy]:
    return {policy.name: policy for policy in policies}


OPERATIONS = _table(
    OperationPolicy(name="queue_job_create", timeout=15.0, ttl=300, invalidates=("jobs",)),
    OperationPolicy(
        name="queue_job_status",
        timeout=5.0,
        ttl=60,
        method="GET",
        repeat=Repeat.SAFE,
        caches_response=True,
        sie=300.0,
    ),
    OperationPolicy(name="queue_job_update", timeout=10.0, invalidates=("jobs",)),
    OperationPolicy(
        name="queue_job_list",
        timeout=20.0,
        ttl=300,
        method="GET",
        repeat=Repeat.SAFE,
        caches_response=True,
        swr=60.0,
        sie=300.0,
        tags=("jobs",),
    ),
    OperationPolicy(name="queue_job_cancel", timeout=10.0, repeat=Repeat.NATURAL, invalidates=("jobs",)),
    OperationPolicy(name="queue_notification", timeout=5.0, attempts=2),
    OperationPolicy(
        name="queue_metrics",
        timeout=15.0,
        ttl=300,
        method="GET",
        repeat=Repeat.SAFE,
        attempts=2,
        caches_response=True,
        swr=60.0,
        sie=300.0,
    ),
    OperationPolicy(name="agent_execution_queue", timeout=30.0, invalidates=("jobs",)),
    OperationPolicy(name="websocket_handshake", timeout=5.0, attempts=1),
    OperationPolicy(
        name="batch_job", timeout=120.0, ttl=1800, attempts=2, attempt_share=1.0, invalidates=("jobs",)
    ),
    OperationPolicy(name="health_check", timeout=2.0, ttl=30, method="GET", repeat=Repeat.SAFE, attempts=1),
    OperationPolicy(name="agent_execution", timeout=300.0, attempts=2, attempt_share=1.0),
    OperationPolicy(
        name="rag_query",
        timeout=30.0,
        ttl=3600,
        repeat=Repeat.SAFE,
        caches_response=True,
        swr=60.0,
        sie=3600.0,
        tags=("collection:{collection_id}",),
    ),
)


def policy_for(operation: str) -> OperationPolicy:
    """Return the policy of an operation type.

    :raises UnknownOperation: there is none
    """
    try:
        return OPERATIONS[operation]
    except KeyError:
        raise UnknownOperation(f"There is no operation type {operation!r}.") from None


def get_timeout_for_operation(operation: str) -> float:
    """Return the total time in seconds that a call of this operation type may take."""
    return policy_for(operation).timeout
