"""The in-memory stores agree with a small model, whatever is done to them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from encola.adapters.memory import (
    InMemoryJobCatalog,
    InMemoryJobFeed,
    InMemoryJobOutputs,
    InMemoryJobStore,
    InMemoryWorkBoard,
    InProcessNotifier,
    MemoryState,
)
from encola.testing.job_machine import job_machine
from encola.testing.stores import Stores


@asynccontextmanager
async def memory_stores() -> AsyncIterator[Stores]:
    """Open stores over one new state."""
    state, notifier = MemoryState(), InProcessNotifier()
    yield Stores(
        jobs=InMemoryJobStore(state, notifier),
        board=InMemoryWorkBoard(state),
        catalog=InMemoryJobCatalog(state),
        feed=InMemoryJobFeed(state),
        outputs=InMemoryJobOutputs(state, notifier),
        notifier=notifier,
    )


TestInMemoryStores = job_machine(memory_stores).TestCase
