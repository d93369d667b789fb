"""A house for each test of a use case."""

import pytest
from house import House


@pytest.fixture
def house() -> House:
    """Return a house in which nothing has happened yet."""
    return House()
