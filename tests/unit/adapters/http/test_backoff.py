import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.adapters.http.backoff import (
    FIRST,
    FIRST_WHEN_THROTTLED,
    LONGEST,
    MOST_PATIENCE,
    retry_after,
    wait_before_next,
)
from encola.domain.service import ServiceError

UNAVAILABLE = ServiceError(code="upstream_unavailable", message="")
THROTTLED = ServiceError(code="rate_limited", message="")
DATE = "Sun, 22 Nov 2026 10:00:00 GMT"


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_wait_lies_below_the_capped_exponential(attempt: int, chance: float) -> None:
    wait = wait_before_next(attempt, UNAVAILABLE, chance)

    assert 0 <= wait <= LONGEST
    assert wait <= FIRST * 2.0 ** min(attempt - 1, 40)


def test_throttling_waits_longer_from_the_start() -> None:
    assert wait_before_next(1, THROTTLED, 0.5) == FIRST_WHEN_THROTTLED / 2


def test_what_the_service_asks_for_is_the_least() -> None:
    error = ServiceError(code="upstream_unavailable", message="", retry_after=3.0)

    assert wait_before_next(1, error, 0.9) == 3.0


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 1e9, allow_nan=False))
def test_what_the_service_asks_for_adds_five_seconds_at_most(
    attempt: int, chance: float, asked: float | None
) -> None:
    error = ServiceError(code="upstream_unavailable", message="", retry_after=asked)
    backoff = wait_before_next(attempt, UNAVAILABLE, chance)
    wait = wait_before_next(attempt, error, chance)

    assert backoff <= wait <= backoff + MOST_PATIENCE
    assert wait >= min(asked or 0.0, MOST_PATIENCE)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "-7"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 5000}, 999_999_999.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30", "date": DATE}, None),
        ({"retry-after": "Sun, 99 Nov 99999 10:00:30 GMT", "date": DATE}, None),
    ],
)
def test_retry_after_is_read_or_ignored(headers: dict[str, str], expected: float | None) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}

    assert retry_after(httpx.Headers(list(encoded.items()))) == expected


@given(st.text())
def test_no_retry_after_raises(text: str) -> None:
    headers = httpx.Headers([("retry-after", text.encode("utf-8", "replace")), ("date", DATE.encode())])

    wait = retry_after(headers)

    assert wait is None or wait >= 0
