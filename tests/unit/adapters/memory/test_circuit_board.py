import pytest

from encola.adapters.memory import InMemoryCircuitBoard, MemoryCircuits
from encola.testing.contracts import CircuitBoardContract


class TestInMemoryCircuitBoard(CircuitBoardContract):
    @pytest.fixture
    def boards(self) -> tuple[InMemoryCircuitBoard, InMemoryCircuitBoard]:
        circuits = MemoryCircuits()
        return InMemoryCircuitBoard(circuits), InMemoryCircuitBoard(circuits)
