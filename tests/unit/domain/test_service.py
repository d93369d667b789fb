"""The envelope of a call reads as attributes and as the seed's mapping."""

from typing import Any

import pytest

from encola.domain.service import CallMeta, ServiceError, ServiceResult

META = CallMeta(service="agent", operation="agent_execution", attempts=2, elapsed_ms=7)
WELL = ServiceResult(success=True, data={"answer": 42}, error=None, meta=META)
BADLY = ServiceResult(
    success=False,
    data=None,
    error=ServiceError(code="connection_failed", message="agent: nobody answers", status=503, retryable=True),
    meta=META,
)


def said_by_the_seed(response: Any) -> object:
    """Read a response as the seed's task does."""
    if response.get("success", False):
        return response.get("data", {})
    return response.get("error", {}).get("message", "Error desconocido")


def test_a_result_has_the_four_keys_of_the_envelope() -> None:
    assert list(WELL) == ["success", "data", "error", "meta"]
    assert len(WELL) == 4
    assert dict(WELL)["data"] == {"answer": 42}
    assert "code" not in WELL
    with pytest.raises(KeyError):
        WELL["code"]


def test_errors_and_meta_read_as_mappings_too() -> None:
    error: Any = BADLY["error"]
    meta: Any = BADLY["meta"]

    assert (error["code"], error["status"], error["retryable"]) == ("connection_failed", 503, True)
    assert (meta["attempts"], meta["source"]) == (2, "upstream")
    assert WELL["error"] is None


@pytest.mark.parametrize("data", [None, 0, "", [], {}])
def test_seed_16_falsy_data_is_data(data: Any) -> None:
    result = ServiceResult(success=True, data=data, error=None, meta=META)

    assert said_by_the_seed(result) == data


def test_seed_18_the_seeds_reading_of_a_failure_finds_its_cause() -> None:
    assert said_by_the_seed(BADLY) == "agent: nobody answers"
    assert said_by_the_seed(WELL) == {"answer": 42}
