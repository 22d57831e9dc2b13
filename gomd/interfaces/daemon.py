"""The daemon's own parts: threads, the collector, commands, tokens, and the daemon as a whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from zope.interface import Attribute, Interface

from libgomd.model import Caller, Counter, Node, Output, Process, ProcessTable

R = TypeVar("R")


class IThreads(Interface):
    """Runs what blocks, off the reactor's thread."""

    def run(limit: float, function: Callable[..., R], *arguments: Any) -> Awaitable[R]:
        """
        Call ``function(*arguments)`` on a thread and give its result.

        :param limit: seconds; after them `TimedOut` is raised and the late result dropped.
        :raises TooMany: all threads are taken by calls that hang.
        """

    def run_apart(
        limit: float, key: Hashable, holder: Hashable, function: Callable[..., R], *arguments: Any
    ) -> Awaitable[R]:
        """
        Call ``function(*arguments)`` as `run` does, where it may hang for ever for what somebody did.

        :param key: what it may hang at: a process, a user's name. There is one call at a time for a key;
            while one has not come back within its limit, no other is begun.
        :param holder: for whom it is done: a few of the threads at most are taken for one.
        :raises TimedOut: it, or an earlier call for the same key, takes longer than its limit.
        :raises TooMany: calls for the same holder hang, as many as may; or as in `run`.
        """


class ICollector(Interface):
    """Keeps the newest sample and process table of this node."""

    latest = Attribute("Sample: the newest of each part")
    own = Attribute("Node: this node as its newest sample tells it, without its age")

    def own_node() -> Node:
        """`own`, with its age. Does not block."""

    def known_nodes() -> Sequence[Node]:
        """The nodes the source itself knows, this one among them; ordered by id. Does not block."""

    def processes(max_age: float) -> Awaitable[ProcessTable]:
        """
        The process table, scanned again first when it is older than ``max_age`` seconds.

        Calls that come while a scan runs share its result. A scan that fails or takes too long gives
        the old table when there is one, else raises `SourceUnavailable` or `TimedOut`.
        """

    def process(pid: int) -> Awaitable[Process]:
        """One process, read afresh. :raises NotFound: there is none."""

    def refresh() -> Awaitable[None]:
        """Read the node's own state again now, after it was changed. Never raises."""

    def counters() -> Iterable[Counter]:
        """What it counted, for `stats`."""


class ICommands(Interface):
    """The commands of `[commands]`, run for an admin."""

    def names() -> Sequence[str]:
        """The names there are, sorted."""

    def start(name: str) -> Awaitable[AsyncGenerator[Output, None]]:
        """
        Start one; what it gives is first its output, line by line, last its exit status.

        Closing the generator kills what still runs. A consumer that is slow slows the command.

        :raises NotFound: no such name. :raises NotPossible: its program cannot be started.
        :raises TooMany: too many run already.
        """


class ITokens(Interface):
    """The tokens file: who may be more than anonymous over tcp."""

    def check(token: str, caller: Caller) -> Awaitable[Caller | None]:
        """
        Return what ``caller`` is with this token: its role and name; None when it is not in the file.

        :raises NotAllowed: the token is good, but its owner is nobody on this node.
        :raises NotPossible: the tokens file cannot be trusted or read; says why.
        """


class IStoppable(Interface):
    """The daemon as a whole, for `shutdown` and for `stats`."""

    def stop(reason: str) -> None:
        """Stop the daemon, cleanly, soon after this returns."""
