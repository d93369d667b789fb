"""What all tests share."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Return the one loop that Encola runs on."""
    return "asyncio"
