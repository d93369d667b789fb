"""The connection to RabbitMQ comes back, whatever becomes of those who used it."""

import asyncio

import pytest
from aiormq.abc import AbstractConnection
from celery_workers import until

from encola.adapters.celery.address import BrokerAddress
from encola.adapters.celery.link import BrokerLink
from encola.testing.servers import RabbitServer
from encola.testing.tcp_proxy import TcpProxy


@pytest.mark.parametrize("stubborn", [False, True], ids=["deaf", "deaf and stubborn"])
async def test_a_use_that_does_not_hear_of_the_loss_is_left_behind(
    rabbit: RabbitServer, stubborn: bool
) -> None:
    served: list[AbstractConnection] = []
    enough = asyncio.Event()

    async def serve(connection: AbstractConnection) -> None:
        served.append(connection)
        try:
            await enough.wait()
        except asyncio.CancelledError:
            if not stubborn:
                raise
            await enough.wait()

    with TcpProxy.of(rabbit.url) as way:
        link = BrokerLink(BrokerAddress.parse(way.url(rabbit.url)), serve)
        await link.open()
        try:
            await until(lambda: len(served) == 1)
            way.cut()
            way.resume()
            await until(lambda: len(served) == 2)
            assert served[0].is_closed
            assert not served[1].is_closed
        finally:
            enough.set()
            await link.close()
