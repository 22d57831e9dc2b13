"""Parts of a daemon that migrations use, in memory: threads, criu, a socket, and a placement."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.interfaces import IPlacement, IThreads, Need
from libgomd.errors import CannotMove
from libgomd.model import Node


class Criu:
    """The program criu, as far as the daemon itself calls it."""

    program = "criu"

    def __init__(self) -> None:
        self.missing = ""
        self.page_server_fails = ""
        self.number = "4.2"

    def version(self) -> str:
        return self.number

    def check(self) -> str:
        return self.missing

    def receive(self, accepted: Any, directory: str, tls: Any, expected: int) -> int:
        if self.page_server_fails:
            raise CannotMove(self.page_server_fails)
        return 1 << 20


class Listening:
    """A listening socket to which nobody connects."""

    def __init__(self, made: list[Listening]) -> None:
        self.closed = False
        made.append(self)

    def getsockname(self) -> tuple[str, int]:
        return "10.0.0.9", 4711

    def shutdown(self, how: int) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


@implementer(IThreads)
class AtOnce:
    """
    Threads that are none.

    :ivar held: calls of functions whose name is in ``hold`` wait here.
    """

    def __init__(self) -> None:
        self.hold: set[str] = set()
        self.held: list[Callable[[], None]] = []

    async def run(self, limit: float, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `IThreads.run`."""
        name = getattr(function, "__name__", "")
        if name not in self.hold:
            return function(*arguments)
        waited: Deferred[Any] = Deferred()

        def call() -> None:
            try:
                result = function(*arguments)
            except Exception:
                waited.errback(Failure())
            else:
                waited.callback(result)

        self.held.append(call)
        return await waited

    async def run_apart(
        self, limit: float, key: Hashable, holder: Hashable, function: Callable[..., Any], *arguments: Any
    ) -> Any:
        """See `IThreads.run_apart`."""
        return await self.run(limit, function, *arguments)

    def release(self) -> None:
        """Do the calls that were held back."""
        self.hold.clear()
        held, self.held = self.held, []
        for call in held:
            call()


@implementer(IPlacement)
class NoPlacement:
    """A placement that is never asked: these tests name the node."""

    def choose(self, nodes: Sequence[Node], need: Need) -> Node:
        """See `IPlacement.choose`."""
        raise AssertionError("the node was named")

    def withdraw(self, node_id: int) -> None:
        """See `IPlacement.withdraw`."""
