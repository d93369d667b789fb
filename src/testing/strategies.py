"""Hypothesis strategies for what Encola's ports and use cases take."""

import string
from datetime import timedelta

from hypothesis import strategies as st

from encola.domain.context import ExecutionContext, TenantId
from encola.domain.job import Job, JobError, JobStatus, Priority, Progress
from encola.domain.json_value import JSON, MAX_SAFE_INTEGER
from encola.domain.policy import RetryPolicy
from encola.testing.builders import a_job, after

_NAME = string.ascii_letters + string.digits + "._@-"
_SECONDS = st.floats(min_value=0, max_value=10_000, allow_nan=False)


def json_values(max_leaves: int = 12) -> st.SearchStrategy[JSON]:
    """Return values that JSON can hold, by the rules of I-JSON."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(min_value=-MAX_SAFE_INTEGER, max_value=MAX_SAFE_INTEGER)
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts()
    )
    return st.recursive(
        leaves,
        lambda members: st.lists(members, max_size=4) | st.dictionaries(texts(), members, max_size=4),
        max_leaves=max_leaves,
    )


def texts(max_size: int = 20) -> st.SearchStrategy[str]:
    """Return Unicode texts without halves of surrogate pairs."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)


def tenants() -> st.SearchStrategy[TenantId]:
    """Return well-formed tenants."""
    return st.text(_NAME, min_size=1, max_size=64).map(TenantId)


def contexts(tenant: TenantId | None = None) -> st.SearchStrategy[ExecutionContext]:
    """Return well-formed contexts, of the given tenant or of any."""
    names = st.none() | st.text(_NAME + ":", min_size=1, max_size=128)
    return st.builds(
        ExecutionContext,
        tenant_id=tenants() if tenant is None else st.just(tenant),
        agent_id=names,
        conversation_id=names,
        collection_id=names,
        traceparent=st.none() | traceparents(),
        tracestate=st.none() | st.just("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        baggage=st.none() | st.just("plan=a%20b,region=eu;ttl=1"),
        request_id=names,
    )


def traceparents() -> st.SearchStrategy[str]:
    """Return well-formed ``traceparent`` headers."""
    parts = st.tuples(st.integers(1, 16**32 - 1), st.integers(1, 16**16 - 1), st.integers(0, 255))
    return parts.map(lambda part: f"00-{part[0]:032x}-{part[1]:016x}-{part[2]:02x}")


def jobs(tenant: TenantId | None = None) -> st.SearchStrategy[Job]:
    """Return jobs whose every field has some value that it may have; not all of them fit together."""
    return st.builds(
        a_job,
        number=st.integers(min_value=0, max_value=2**48 - 1),
        context=contexts(tenant),
        params=json_values(),
        type=st.text(_NAME, min_size=1, max_size=64),
        queue=st.text(_NAME, min_size=1, max_size=64),
        status=st.sampled_from(JobStatus),
        seq=st.integers(min_value=1, max_value=10_000),
        attempt=_counts(),
        failures=_counts(),
        losses=_counts(),
        retry=retry_policies(),
        timeout=st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=1)),
        priority=st.sampled_from(Priority),
        tags=st.lists(texts(), max_size=4).map(tuple),
        use_cache=st.booleans(),
        cached=st.booleans(),
        created_at=_SECONDS.map(after),
        updated_at=_SECONDS.map(after),
        due_at=st.none() | _SECONDS.map(after),
        check_at=st.none() | _SECONDS.map(after),
        expires_at=st.none() | _SECONDS.map(after),
        started_at=st.none() | _SECONDS.map(after),
        finished_at=st.none() | _SECONDS.map(after),
        progress=st.none() | progresses(),
        result=json_values(),
        error=st.none() | st.builds(JobError, code=texts(), message=texts(), retryable=st.booleans()),
    )


def retry_policies() -> st.SearchStrategy[RetryPolicy]:
    """Return policies with few retries and delays of up to an hour."""
    delays = st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=1))
    few = st.integers(min_value=0, max_value=3)
    return st.builds(RetryPolicy, retries=few, lost_retries=few, first_delay=delays, max_delay=delays)


def progresses() -> st.SearchStrategy[Progress]:
    """Return reports of progress, honest or not."""
    numbers = st.integers(-10, 1_000) | st.floats(-10, 1_000, allow_nan=False)
    return st.builds(Progress, current=numbers, total=numbers, message=texts())


def _counts() -> st.SearchStrategy[int]:
    return st.integers(min_value=0, max_value=100)
