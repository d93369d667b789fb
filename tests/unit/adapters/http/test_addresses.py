import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.adapters.http.addresses import ServiceAddresses
from encola.domain.errors import InvalidSettings, UnknownService

BASE = "http://services.internal:8000/query"
ADDRESSES = ServiceAddresses({"query": BASE, "agent": "https://Agent.internal", "deep": f"{BASE}/deep/"})

ASTRAY = [
    "/../admin",
    "/a/../../admin",
    "/a/.",
    "/%2e%2e/admin",
    "/.%2E/admin",
    "/%252e%252e/admin",
    "/%25252e%25252e/admin",
    "/..;x=1/admin",
    "/a%2f..%2fadmin",
    "/a%5cadmin",
    "/a\\b",
    "//evil.example/",
    "/a//b",
    "/a#b",
    "/a b",
    "/a\r\nX-Tenant-ID: other",
    "/a%0d%0ab",
    "/a%00",
    "/a%zz",
    "/ñ",
    "a",
    "",
    "@evil.example/",
    ":80@evil.example/",
]


@pytest.mark.parametrize("path", ASTRAY)
def test_a_path_that_could_lead_out_of_the_service_is_refused(path: str) -> None:
    with pytest.raises(UnknownService):
        ADDRESSES.url("query", path)


@pytest.mark.parametrize("path", ["/", "/internal/query", "/jobs/a%20b", "/jobs/a@b:c;d", "/x?next=//a/../b"])
def test_an_ordinary_path_is_appended_to_the_base(path: str) -> None:
    assert ADDRESSES.url("query", path) == BASE + path


@given(st.text())
def test_whatever_the_path_the_address_begins_with_the_base(path: str) -> None:
    try:
        url = ADDRESSES.url("query", path)
    except UnknownService:
        return
    assert url.startswith(f"{BASE}/")
    assert ".." not in url.partition("?")[0].split("/")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("query", ("query", "/")),
        ("query/", ("query", "/")),
        ("query/internal/query?a=1", ("query", "/internal/query?a=1")),
        (BASE, ("query", "/")),
        (f"{BASE}/internal/query", ("query", "/internal/query")),
        ("HTTP://SERVICES.internal:8000/query/x", ("query", "/x")),
        (f"{BASE}/deep/x", ("deep", "/x")),
        (f"{BASE}/deeper/x", ("query", "/deeper/x")),
        ("https://agent.internal:443/health?a=b", ("agent", "/health?a=b")),
    ],
)
def test_a_registered_service_is_found(url: str, expected: tuple[str, str]) -> None:
    assert ADDRESSES.resolve(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/internal/query",
        "other",
        "Query",
        "query/../agent",
        "http://evil.example/query/x",
        "http://services.internal:8001/query/x",
        "https://services.internal:8000/query/x",
        "http://services.internal:8000/queryx",
        "http://services.internal:8000/",
        "http://services.internal:8000/query/../agent",
        "http://services.internal:8000/query//x",
        "http://services.internal:8000/query/%2e%2e/agent",
        "http://services.internal:8000/query/x#y",
        "http://services.internal:8000/query/x#",
        "http://user@services.internal:8000/query/x",
        "http://services.internal:8000@evil.example/query/x",
        "http://services.internal:8000\\@evil.example/query/x",
        "http://services.internal:99999/query/x",
        "http://[::1/query",
        "file:///etc/passwd",
        "//services.internal:8000/query",
        " http://services.internal:8000/query",
        "http://services.internal.:8000/query",
    ],
)
def test_anything_else_is_an_unknown_service(url: str) -> None:
    with pytest.raises(UnknownService):
        ADDRESSES.resolve(url)


def test_the_message_names_the_services_and_never_repeats_a_url() -> None:
    with pytest.raises(UnknownService) as caught:
        ADDRESSES.resolve("http://evil.example/?token=hunter2")

    assert str(caught.value) == "There is no service at this address; registered are: agent, deep, query."


def test_calling_a_service_that_nobody_registered_names_it() -> None:
    with pytest.raises(UnknownService, match="no service called 'payments'"):
        ADDRESSES.url("payments", "/")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("query", "ftp://host/"),
        ("query", "host:80"),
        ("query", "http://"),
        ("query", "http://user:secret@host"),
        ("query", "http://host/?a=b"),
        ("query", "http://host/#a"),
        ("query", "http://host/a/../b"),
        ("query", "http://host:port"),
        ("Query Service", "http://host"),
        ("", "http://host"),
    ],
)
def test_an_unusable_registration_is_refused_at_the_start(name: str, url: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        ServiceAddresses({name: url})

    assert "secret" not in str(caught.value)
