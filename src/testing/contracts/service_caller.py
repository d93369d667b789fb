"""What every service caller promises."""

import json
import time
from dataclasses import replace

import pytest

from encola.application.ports import ServiceCaller
from encola.domain.context import ExecutionContext
from encola.domain.errors import UnknownService
from encola.domain.json_value import JSON
from encola.domain.policy import policy_for
from encola.domain.service import ServiceCall
from encola.testing.builders import ACME

VALUES: list[JSON] = [0, "", [], {}, None, False, {"deep": [1, "ñ ✓"]}]


def a_call(path: str, data: JSON = None, *, service: str = "library", timeout: float = 5.0) -> ServiceCall:
    """Return one POST that is not repeated."""
    return ServiceCall(
        service=service,
        path=path,
        operation=policy_for("rag_query"),
        context=ExecutionContext(tenant_id=ACME),
        data=data,
        timeout=timeout,
    )


class ServiceCallerContract:
    """The promise of :class:`~encola.application.ports.ServiceCaller`. Subclass it and give ``caller``.

    The caller must know two services. ``library``, with the base URL ``http://library.test/v1``,
    answers a POST to ``/echo`` with what it was sent, to ``/missing`` with 404, to ``/failing`` with
    500, and to ``/hanging`` never. ``ruin``, with ``http://ruin.test``, cannot be connected to.
    """

    @pytest.fixture
    def caller(self) -> ServiceCaller:
        """Return a caller that knows the two services."""
        raise NotImplementedError("return a caller that knows `library` and `ruin`")

    @pytest.mark.parametrize("value", VALUES, ids=json.dumps)
    async def test_an_answer_is_a_success_whatever_its_value(
        self, caller: ServiceCaller, value: JSON
    ) -> None:
        result = await caller.call(a_call("/echo", value))

        assert (result.success, result.error) == (True, None)
        assert json.dumps(result.data) == json.dumps(value)

    async def test_a_result_says_how_the_call_went(self, caller: ServiceCaller) -> None:
        meta = (await caller.call(a_call("/echo", 1))).meta

        assert (meta.service, meta.operation) == ("library", "rag_query")
        assert (meta.attempts, meta.source) == (1, "upstream")
        assert meta.elapsed_ms >= 0

    @pytest.mark.parametrize(("path", "status"), [("/missing", 404), ("/failing", 500)])
    async def test_a_failing_service_is_a_result(self, caller: ServiceCaller, path: str, status: int) -> None:
        result = await caller.call(a_call(path))

        assert not result.success
        assert result.data is None
        assert result.error is not None
        assert result.error.status == status
        assert result.error.code
        assert result.error.message

    async def test_a_failing_network_is_a_result_that_may_pass(self, caller: ServiceCaller) -> None:
        result = await caller.call(a_call("/", service="ruin"))

        assert not result.success
        assert result.error is not None
        assert result.error.retryable

    async def test_a_silent_service_is_a_result_when_the_time_is_over(self, caller: ServiceCaller) -> None:
        began = time.monotonic()

        result = await caller.call(a_call("/hanging", timeout=0.05))

        assert not result.success
        assert time.monotonic() - began < 2.0

    async def test_the_time_is_over_for_all_attempts_together(self, caller: ServiceCaller) -> None:
        began = time.monotonic()

        await caller.call(replace(a_call("/hanging", timeout=0.05), attempts=50))

        assert time.monotonic() - began < 2.0

    @pytest.mark.parametrize("service", ["nobody", "", "http://library.test/v1", "LIBRARY"])
    async def test_an_unregistered_service_cannot_be_called(
        self, caller: ServiceCaller, service: str
    ) -> None:
        with pytest.raises(UnknownService):
            await caller.call(a_call("/echo", service=service))

    async def test_who_calls_after_the_close_is_told_that_the_process_is_leaving(
        self, caller: ServiceCaller
    ) -> None:
        await caller.close()
        result = await caller.call(a_call("/echo"))

        assert result.error is not None
        assert (result.error.code, result.error.retryable) == ("local_shutdown", True)

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("library/echo", ("library", "/echo")),
            ("library/deep/er", ("library", "/deep/er")),
            ("http://library.test/v1/echo", ("library", "/echo")),
            ("http://ruin.test/x", ("ruin", "/x")),
        ],
    )
    def test_a_name_and_path_or_a_url_below_a_base_is_resolved(
        self, caller: ServiceCaller, url: str, expected: tuple[str, str]
    ) -> None:
        assert caller.resolve(url) == expected

    def test_a_name_alone_is_resolved(self, caller: ServiceCaller) -> None:
        assert caller.resolve("library")[0] == "library"

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "nobody",
            "nobody/echo",
            "/echo",
            "http://library.test",
            "http://library.test/v2/echo",
            "http://library.test/v10",
            "https://library.test/v1/echo",
            "http://library.test.evil.test/v1/echo",
            "http://library.test:8080/v1/echo",
            "http://user@library.test/v1/echo",
            "http://127.0.0.1/",
            "file:///etc/passwd",
        ],
    )
    def test_anything_else_is_unknown(self, caller: ServiceCaller, url: str) -> None:
        with pytest.raises(UnknownService):
            caller.resolve(url)
