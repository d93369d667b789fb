"""Plain functions off the loop, a bounded number at a time."""

import asyncio
import contextvars
import threading
from collections.abc import Callable


class HandlerThreads:
    """Runs each function in a daemon thread of its own.

    A function that never returns keeps its place but not the process: a pool of ordinary workers
    would hold up the interpreter's end for it.
    """

    def __init__(self, limit: int = 64) -> None:
        self._places = asyncio.Semaphore(limit)

    async def run(self, function: Callable[[], object]) -> object:
        """Return what the function returns, or raise what it raises.

        Cancelling the wait does not stop the thread, whose place is free when it ends.
        """
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[object] = loop.create_future()
        context = contextvars.copy_context()

        def settle(result: object, error: BaseException | None) -> None:
            self._places.release()
            if outcome.done():
                return
            if error is None:
                outcome.set_result(result)
            else:
                outcome.set_exception(error)

        def work() -> None:
            result, failure = None, None
            try:
                result = context.run(function)
            except BaseException as error:
                failure = RuntimeError(str(error)) if isinstance(error, StopIteration) else error
            try:
                loop.call_soon_threadsafe(settle, result, failure)
            except RuntimeError:
                return  # the loop has closed, nobody waits any more

        threading.Thread(target=work, name="encola-handler", daemon=True).start()
        return await outcome
