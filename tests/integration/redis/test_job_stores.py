from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis
from redis_clusters import start_cluster
from redis_stores import redis_stores

from encola.testing.contracts import (
    JobCatalogContract,
    JobFeedContract,
    JobOutputsContract,
    JobStoreContract,
    WorkBoardContract,
)
from encola.testing.stores import Stores


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a cluster of one node, which refuses scripts that leave their slot."""
    [server] = start_cluster(tmp_path_factory.mktemp("cluster"), 1)
    yield server.url
    server.stop()


class OnRedis:
    @pytest.fixture(params=["one server", "cluster"])
    def url(self, request: pytest.FixtureRequest) -> str:
        if request.param == "one server":
            return str(request.getfixturevalue("redis_url"))
        url: str = request.getfixturevalue("cluster_url")
        with Redis.from_url(url) as client:
            client.flushall()
        return url

    @pytest.fixture
    async def stores(self, url: str) -> AsyncIterator[Stores]:
        async with redis_stores(url) as stores:
            yield stores


class TestRedisJobStore(OnRedis, JobStoreContract): ...


class TestRedisWorkBoard(OnRedis, WorkBoardContract): ...


class TestRedisJobCatalog(OnRedis, JobCatalogContract): ...


class TestRedisJobFeed(OnRedis, JobFeedContract): ...


class TestRedisJobOutputs(OnRedis, JobOutputsContract): ...
