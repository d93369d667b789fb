import pytest

from encola.adapters.sql import SqlJobHistory
from encola.testing.contracts import (
    JobCatalogContract,
    JobFeedContract,
    JobHistoryContract,
    JobOutputsContract,
    JobStoreContract,
    WorkBoardContract,
)
from encola.testing.stores import Stores


class OnSql:
    @pytest.fixture
    def stores(self, sql_stores: Stores) -> Stores:
        return sql_stores


class TestSqlJobStore(OnSql, JobStoreContract): ...


class TestSqlWorkBoard(OnSql, WorkBoardContract): ...


class TestSqlJobCatalog(OnSql, JobCatalogContract): ...


class TestSqlJobFeed(OnSql, JobFeedContract): ...


class TestSqlJobOutputs(OnSql, JobOutputsContract): ...


class TestSqlJobHistory(JobHistoryContract):
    @pytest.fixture
    def history(self, sql_history: SqlJobHistory) -> SqlJobHistory:
        return sql_history
