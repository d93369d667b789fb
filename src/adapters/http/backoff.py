"""How long to wait before the next attempt."""

from email.utils import parsedate_to_datetime

import httpx

from encola.domain.service import ServiceError

FIRST = 0.05
FIRST_WHEN_THROTTLED = 1.0
LONGEST = 5.0
MOST_PATIENCE = 5.0


def wait_before_next(attempt: int, error: ServiceError, chance: float) -> float:
    """Return the seconds between the failed ``attempt`` (from 1) and the next one.

    Full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). What the service asked
    for by ``Retry-After`` is the least, up to five seconds more than that, as the AWS SDKs do since
    2026: a service that asks for an hour gets a further attempt all the same, if there is time.
    ``chance`` is uniform in [0, 1).
    """
    first = FIRST_WHEN_THROTTLED if error.code == "rate_limited" else FIRST
    backoff = chance * min(LONGEST, first * 2.0 ** min(attempt - 1, 32))
    return min(max(backoff, error.retry_after or 0.0), backoff + MOST_PATIENCE)


def retry_after(headers: httpx.Headers) -> float | None:
    """Return the seconds that ``Retry-After`` asks for; ``None`` when it says nothing usable.

    A date is measured against the answer's own ``Date``, so that no two clocks are compared.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max(wait.total_seconds(), 0.0)
