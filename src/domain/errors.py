"""Every error Encola raises on purpose. Each class has a ``code`` that outsiders may rely on.

::

    EncolaError
    ├── InvalidInput             the caller sent something that cannot be right
    │   ├── InvalidParams        the params do not fit the job type
    │   ├── InvalidContext       an identifier outside the grammar
    │   ├── InvalidCursor        a page token that we did not give, or for another question
    │   ├── NotJson              a value that JSON cannot hold
    │   ├── TooLarge             beyond a limit
    │   └── UnknownJobType       no handler has that name
    ├── JobNotFound              there is none, or it is another tenant's
    ├── JobChanged               somebody else wrote first; read again
    ├── IllegalTransition        a job in this status cannot do that
    ├── IdempotencyMismatch      one key, two different requests
    ├── JobFailed                raised by a handler: a failure with a message for people
    ├── Overloaded               too much at once; try again later
    ├── StoreUnavailable         the truth cannot be read or written now; nothing was written
    ├── UnknownService           a service name or URL nobody registered
    ├── UnknownOperation         an operation type without a policy
    └── InvalidSettings          Encola cannot start like this
"""

from collections.abc import Sequence
from typing import ClassVar


class EncolaError(Exception):
    """The root of the tree."""

    code: ClassVar[str] = "error"


class InvalidInput(EncolaError):
    """The caller sent something that cannot be right."""

    code = "invalid_input"


class InvalidParams(InvalidInput):
    """The params do not fit the job type; ``problems`` pairs JSON Pointers with messages."""

    code = "invalid_params"

    def __init__(self, message: str, problems: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class InvalidContext(InvalidInput):
    """An identifier of the context is outside the grammar."""

    code = "invalid_context"


class InvalidCursor(InvalidInput):
    """A page token that was not given for this question."""

    code = "invalid_cursor"


class NotJson(InvalidInput):
    """A value that JSON cannot hold, at ``pointer``."""

    code = "not_json"

    def __init__(self, what: str, pointer: str = "") -> None:
        super().__init__(f"The value at {pointer or 'the top'} {what}.")
        self.pointer = pointer


class TooLarge(InvalidInput):
    """Something is beyond its limit."""

    code = "too_large"


class UnknownJobType(InvalidInput):
    """No handler has that name here."""

    code = "unknown_job_type"


class JobNotFound(EncolaError):
    """There is no such job, or it belongs to another tenant: the two look alike."""

    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        super().__init__("There is no job with this id.")
        self.job_id = job_id


class JobChanged(EncolaError):
    """The stored job is not the version that the caller decided on; nothing was written."""

    code = "job_changed"


class IllegalTransition(EncolaError):
    """A job in this status cannot do that."""

    code = "illegal_transition"


class IdempotencyMismatch(EncolaError):
    """The idempotency key was used before with a different request."""

    code = "idempotency_mismatch"


class JobFailed(EncolaError):
    """Raise it in a handler to fail with a message and a code of your own.

    The message is shown to whoever watches the job, so it must hold no secret.
    """

    code = "job_failed"

    def __init__(self, message: str, *, code: str = "job_failed", retryable: bool = False) -> None:
        super().__init__(message)
        self.failure_code = code
        self.retryable = retryable


class Overloaded(EncolaError):
    """Too much at once; nothing was done, try again later."""

    code = "overloaded"


class StoreUnavailable(EncolaError):
    """The store cannot answer now; nothing was written."""

    code = "store_unavailable"


class UnknownService(EncolaError):
    """A service name or URL that nobody registered; no packet was sent."""

    code = "unknown_service"


class UnknownOperation(EncolaError):
    """An operation type without a policy."""

    code = "unknown_operation"


class InvalidSettings(EncolaError):
    """Encola cannot start like this; the message names the setting."""

    code = "invalid_settings"
