"""A table of the tests' own, to see what writes leave behind."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select

from encola.adapters.sql import SqlDatabase

notes = Table("notes", MetaData(), Column("number", Integer, primary_key=True, autoincrement=False))


async def create_notes(database: SqlDatabase) -> None:
    await database.write(notes.create)


def note(connection: Connection, number: int) -> int:
    connection.execute(insert(notes), {"number": number})
    return number


async def noted(database: SqlDatabase) -> list[int]:
    statement = select(notes.c.number).order_by(notes.c.number)
    return await database.read(lambda connection: list(connection.scalars(statement)))


class Gate:
    """Work that holds the writer up until it is opened, so that what follows lands in one batch."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._opened = threading.Event()
        self.reached = asyncio.Event()

    def __call__(self, connection: Connection) -> None:
        self._loop.call_soon_threadsafe(self.reached.set)
        assert self._opened.wait(10)

    def open(self) -> None:
        self._opened.set()


@contextmanager
def gates(number: int) -> Iterator[list[Gate]]:
    """Give gates, and never leave the writer waiting, whatever a test does."""
    made = [Gate() for _ in range(number)]
    try:
        yield made
    finally:
        for gate in made:
            gate.open()
