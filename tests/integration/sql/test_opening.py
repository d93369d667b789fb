from pathlib import Path

import pytest
from sqlalchemy import text

from encola.adapters.memory import InProcessNotifier
from encola.adapters.sql import SqlDatabase, SqlJobStore, database
from encola.domain.errors import InvalidSettings, StoreUnavailable
from encola.testing.builders import ACME, a_full_job


async def test_what_was_kept_is_there_after_closing_and_opening(url: str) -> None:
    job = a_full_job()
    for turn in range(2):
        opened = SqlDatabase(url)
        await opened.open()
        store = SqlJobStore(opened, InProcessNotifier())
        if turn == 0:
            await store.add(job)

        assert await store.get(ACME, job.id) == job
        await opened.close()


async def test_opening_and_closing_twice_does_no_harm(url: str) -> None:
    opened = SqlDatabase(url)
    for _ in range(2):
        await opened.open()
        await opened.open()
        await opened.check()
        await opened.close()
        await opened.close()


async def test_a_closed_database_answers_nothing(url: str) -> None:
    with pytest.raises(StoreUnavailable):
        await SqlDatabase(url).check()


async def test_the_database_of_a_newer_encola_is_refused(url: str) -> None:
    opened = SqlDatabase(url)
    await opened.open()
    await opened.write(lambda connection: connection.execute(text("UPDATE encola_meta SET value = '99'")))
    await opened.close()

    with pytest.raises(InvalidSettings, match="newer Encola"):
        await opened.open()
    with pytest.raises(StoreUnavailable):
        await opened.check()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "encola.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:///encola.db",
        "mysql://root:swordfish@localhost/encola",
        "postgresql+psycopg2://encola:swordfish@localhost/encola",
        "oracle9://encola:swordfish@localhost/encola",
    ],
)
def test_another_kind_of_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        SqlDatabase(url)

    assert "swordfish" not in str(refusal.value)


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"^The data folder cannot be written\.$"):
        await SqlDatabase(f"sqlite:///{tmp_path / 'missing' / 'encola.db'}").open()


async def test_a_file_that_is_no_database_is_said_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "encola.db"
    file.write_text("a letter to my grandmother" * 1000)

    with pytest.raises(StoreUnavailable, match="not a database"):
        await SqlDatabase(f"sqlite:///{file}").open()
    assert file.read_text() == "a letter to my grandmother" * 1000


async def test_a_query_that_takes_too_long_is_ended(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "READ_SECONDS", 0.1)
    opened = SqlDatabase(sqlite_url)
    await opened.open()
    endless = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")

    with pytest.raises(StoreUnavailable, match="in time"):
        await opened.read(lambda connection: connection.execute(endless).all())

    await opened.check()
    await opened.close()
