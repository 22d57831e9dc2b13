"""A transfer from the source node that a thread receives: its start, its end, and its cancellation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred

from gomd.interfaces import IThreads
from gomd.jobs.migration.failure_reason import reason_of
from libgomd.errors import CannotMove

#: Seconds that it waits for the source node to connect, and for all that comes.
CONNECT_TIMEOUT: Final = 120.0
TRANSFER_TIMEOUT: Final = 880.0
_THREAD_TIMEOUT: Final = TRANSFER_TIMEOUT + 20.0


class ThreadTransfer:
    """
    One transfer, which may begin once.

    :param what: is received, such as ``its memory``, for the sentence when it did not arrive completely.
    :ivar started: whether it has begun. :ivar cancelled: it was called off, so its failure is not told.
    """

    def __init__(self, threads: IThreads, what: str) -> None:
        self.started = False
        self.cancelled = False
        self._threads = threads
        self._what = what
        self._complete = False
        self._ended: Deferred[None] = Deferred()

    def start(self, receive: Callable[..., None], *arguments: Any, failed: Callable[[str], None]) -> None:
        """
        Run ``receive`` with ``arguments`` on a thread.

        :param failed: called with the reason when that raises an error; not after it was called off.
        """
        self.started = True
        receiving = self._threads.run(_THREAD_TIMEOUT, receive, *arguments)

        async def whole() -> None:
            await receiving
            self._complete = True

        def on_failure(failure: Any) -> None:
            if not self.cancelled:
                failed(reason_of(failure.value))

        self._ended = Deferred.fromCoroutine(whole())
        self._ended.addErrback(on_failure)

    async def wait(self) -> None:
        """Wait until all of it is here. :raises CannotMove: it did not arrive completely."""
        await self._ended
        if not self._complete:
            raise CannotMove(f"{self._what} did not arrive completely")
