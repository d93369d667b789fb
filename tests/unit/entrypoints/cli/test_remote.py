"""What servers answer, said in one sentence."""

from typing import Any

import httpx
import pytest

from encola.entrypoints.cli.failures import CommandFailed, Unreachable
from encola.entrypoints.cli.remote import Remote, path_part


def remote(
    answer: httpx.Response | Exception, seen: list[httpx.Request] | None = None, **options: Any
) -> Remote:
    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Remote("http://server/base", transport=httpx.MockTransport(handle), **options)


def test_paths_lie_below_the_url_and_the_tenant_is_named() -> None:
    seen: list[httpx.Request] = []

    remote(httpx.Response(200, json={}), seen, tenant="acme").get("/api/jobs", {"limit": 5})

    assert str(seen[0].url) == "http://server/base/api/jobs?limit=5"
    assert seen[0].headers["x-tenant-id"] == "acme"


def test_a_problem_is_told_with_what_its_message_leaves_out() -> None:
    problem = {
        "message": "The params do not fit 'query'.",
        "code": "invalid_params",
        "errors": [{"pointer": "/params/query", "message": "Field required"}],
    }

    with pytest.raises(CommandFailed) as failed:
        remote(httpx.Response(422, json=problem)).post("/api/jobs", {})

    assert str(failed.value) == "The params do not fit 'query'. /params/query: Field required"
    assert failed.value.code == "invalid_params"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_problem_of_the_server_s_own_may_pass(status: int) -> None:
    with pytest.raises(Unreachable, match="later"):
        remote(httpx.Response(status, json={"message": "later"})).get("/x")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_s_page_may_pass(status: int) -> None:
    with pytest.raises(Unreachable, match=f"unavailable: HTTP {status}"):
        remote(httpx.Response(status, text="<html>")).get("/x")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, text="<html>"),
        httpx.Response(404, json=["what"]),
        httpx.Response(307, headers={"location": "/login"}),
        httpx.Response(200, text="<html>"),
    ],
)
def test_another_program_is_recognised(answer: httpx.Response) -> None:
    with pytest.raises(CommandFailed, match="does not answer like Encola"):
        remote(answer).get("/x")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx.ConnectError("refused"), "no_server"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.ConnectTimeout("slow"), "timeout"),
        (httpx.RemoteProtocolError("cut"), "unreachable"),
    ],
)
def test_a_broken_network_is_one_kind_of_error(error: Exception, code: str) -> None:
    with pytest.raises(Unreachable) as failed:
        remote(error).get("/x")
    assert failed.value.code == code


def test_an_id_cannot_lead_elsewhere() -> None:
    assert path_part("../x?y#z/") == "..%2Fx%3Fy%23z%2F"
