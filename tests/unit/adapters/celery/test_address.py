"""The broker's URL is spelt as each library wants it, and never shown."""

import ssl

import pytest

from encola.adapters.celery.address import BrokerAddress
from encola.domain.errors import InvalidSettings


@pytest.mark.parametrize(
    "url", ["", "redis://:secret@localhost/0", "secret@host", "amqp:///secret", "amqp://host:secret/"]
)
def test_what_is_no_amqp_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        BrokerAddress.parse(url)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("amqp://user:secret@rabbit:5673/vhost", "rabbit:5673"),
        ("amqp://rabbit", "rabbit:5672"),
        ("amqps://rabbit/", "rabbit:5671"),
    ],
)
def test_the_place_may_be_logged(url: str, place: str) -> None:
    assert BrokerAddress.parse(url).place == place


def test_publishers_ask_for_heartbeats() -> None:
    assert BrokerAddress.parse("amqp://u:p@h:1/v").for_publisher == "amqp://u:p@h:1/v?heartbeat=10"


def test_what_the_url_asks_for_goes_before() -> None:
    address = BrokerAddress.parse("amqps://h/?heartbeat=3&cafile=ca.pem")

    assert address.for_publisher == "amqps://h/?heartbeat=3&cafile=ca.pem"


def test_without_tls_workers_are_told_of_none() -> None:
    assert BrokerAddress.parse("amqp://h/").tls_for_worker is None


def test_workers_check_the_brokers_certificate() -> None:
    address = BrokerAddress.parse("amqps://h/v?cafile=ca.pem&certfile=own.pem&keyfile=own.key")

    assert address.for_worker == "amqps://h/v"
    assert address.tls_for_worker == {
        "ca_certs": "ca.pem",
        "certfile": "own.pem",
        "keyfile": "own.key",
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": "h",
    }


def test_only_who_asks_for_it_goes_without_the_check() -> None:
    address = BrokerAddress.parse("amqps://h/v?no_verify_ssl=1")

    assert address.tls_for_worker == {"cert_reqs": ssl.CERT_NONE}
