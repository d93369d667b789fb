import asyncio
from collections.abc import AsyncIterator

import pytest
from sql_notes import Gate, create_notes, gates, note, noted
from sqlalchemy import Connection, Engine, event, text

from encola.adapters.sql import SqlDatabase, readers, writer
from encola.domain.errors import JobChanged, Overloaded, StoreUnavailable


@pytest.fixture
async def notebook(database: SqlDatabase) -> SqlDatabase:
    await create_notes(database)
    return database


@pytest.fixture
async def gate(notebook: SqlDatabase) -> AsyncIterator[Gate]:
    """Hold the writer up."""
    with gates(1) as [gate]:
        held = asyncio.create_task(notebook.write(gate))
        await gate.reached.wait()
        yield gate
    await held


async def queue(database: SqlDatabase, *works: object) -> list[asyncio.Task[object]]:
    """Queue the works in this order."""
    tasks = [asyncio.create_task(database.write(work)) for work in works]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    return tasks


def broken(connection: Connection) -> None:
    note(connection, 1000)
    raise JobChanged("on purpose")


def twice(connection: Connection) -> None:
    note(connection, 2000)
    note(connection, 2000)


def misspelt(connection: Connection) -> None:
    connection.execute(text("SELECT secret FROM nowhere"))


def mistaken(connection: Connection) -> None:
    note(connection, 3000)
    raise ZeroDivisionError


async def test_a_work_that_fails_leaves_nothing_and_its_neighbours_unharmed(
    notebook: SqlDatabase, gate: Gate
) -> None:
    works = [lambda connection, number=number: note(connection, number) for number in range(4)]
    failures = [broken, twice, misspelt, mistaken]
    mixed = [work for pair in zip(works, failures, strict=True) for work in pair]

    tasks = await queue(notebook, *mixed)
    gate.open()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert outcomes[::2] == [0, 1, 2, 3]
    kinds = [type(outcome) for outcome in outcomes[1::2]]
    assert kinds == [JobChanged, StoreUnavailable, StoreUnavailable, ZeroDivisionError]
    assert await noted(notebook) == [0, 1, 2, 3]


async def test_an_error_of_the_database_shows_neither_statement_nor_values(notebook: SqlDatabase) -> None:
    for work in (twice, misspelt):
        with pytest.raises(StoreUnavailable) as failure:
            await notebook.write(work)
        assert str(failure.value) == "The database cannot answer now."


async def test_what_waits_is_committed_together(notebook: SqlDatabase, gate: Gate) -> None:
    commits = []
    listener = commits.append
    event.listen(Engine, "commit", listener)
    try:
        works = [lambda connection, number=number: note(connection, number) for number in range(50)]
        tasks = await queue(notebook, *works)
        gate.open()
        await asyncio.gather(*tasks)
    finally:
        event.remove(Engine, "commit", listener)

    assert len(commits) == 2, "the gate's and one for all the rest"
    assert await noted(notebook) == list(range(50))


async def test_every_answered_write_is_seen_by_the_next_read(notebook: SqlDatabase) -> None:
    for number in range(100):
        await notebook.write(lambda connection, number=number: note(connection, number))
        assert await noted(notebook) == list(range(number + 1))


async def test_a_cancelled_caller_does_not_undo_what_was_begun(notebook: SqlDatabase) -> None:
    with gates(1) as [gate]:
        late: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def slow(connection: Connection) -> int:
            gate(connection)
            return note(connection, 1)

        task = asyncio.create_task(notebook.write(slow, abandoned=late.set_result))
        await gate.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.open()

        assert await asyncio.wait_for(late, 10) == 1
    assert await noted(notebook) == [1]


async def test_work_whose_caller_left_before_its_turn_is_not_done(notebook: SqlDatabase, gate: Gate) -> None:
    first, second = await queue(
        notebook, lambda connection: note(connection, 1), lambda connection: note(connection, 2)
    )

    first.cancel()
    await asyncio.sleep(0)
    gate.open()

    assert await second == 2
    assert await noted(notebook) == [2]


async def test_too_many_waiting_writes_are_refused_and_the_rest_is_done(
    notebook: SqlDatabase, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING", 3)

    tasks = await queue(
        notebook, lambda connection: note(connection, 1), lambda connection: note(connection, 2)
    )
    with pytest.raises(Overloaded):
        await notebook.write(lambda connection: note(connection, 3))
    gate.open()

    assert await asyncio.gather(*tasks) == [1, 2]
    assert await notebook.write(lambda connection: note(connection, 4)) == 4


async def test_too_many_waiting_reads_are_refused(
    notebook: SqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MAX_WAITING", 0)

    with pytest.raises(Overloaded):
        await notebook.check()


async def test_closing_finishes_what_was_begun(notebook: SqlDatabase, gate: Gate) -> None:
    tasks = await queue(notebook, lambda connection: note(connection, 1))
    closing = asyncio.create_task(notebook.close())
    await asyncio.sleep(0)

    with pytest.raises(StoreUnavailable):
        await notebook.write(lambda connection: note(connection, 2))
    gate.open()
    await closing

    assert await asyncio.gather(*tasks) == [1]
    await notebook.open()
    assert await noted(notebook) == [1]
