"""Interfaces of the daemon's own parts: threads, collector, commands, tokens, and the daemon as a whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from zope.interface import Attribute, Interface

from libgomd.model import Caller, Counter, Node, Output, Process, ProcessTable, Switch

R = TypeVar("R")


class IThreads(Interface):
    """Runs blocking calls on threads, so that the reactor does not block."""

    def run(limit: float, function: Callable[..., R], *arguments: Any) -> Awaitable[R]:
        """
        Call ``function(*arguments)`` on a thread and return its result.

        :param limit: timeout in seconds.
        :raises TimedOut: the timeout passed; a late result is dropped.
        :raises TooMany: all threads are occupied by calls that hang.
        """

    def run_apart(
        limit: float, key: Hashable, holder: Hashable, function: Callable[..., R], *arguments: Any
    ) -> Awaitable[R]:
        """
        Call ``function(*arguments)`` as `run` does, for calls that a user may cause to hang for ever.

        :param key: what the call may hang at, such as a process or a user name. Calls for the same key run
            one at a time; none is started while one has exceeded its timeout.
        :param holder: on whose behalf the call is made. Each holder may occupy a few threads only.
        :raises TimedOut: this call, or an earlier one for the same key, exceeds its timeout.
        :raises TooMany: too many calls of this holder hang, or as in `run`.
        """


class ISwitchNotes(Interface):
    """Remembers who set each switch of this node, when and why."""

    def notes() -> Mapping[str, Switch]:
        """Return the newest note of each switch that has one, by name. Does not block."""

    def write(note: Switch) -> None:
        """Remember ``note`` in place of an older one. Blocks; call it on a thread. Raises nothing."""


class ICollector(Interface):
    """Samples this node periodically and keeps the newest sample and process table."""

    latest = Attribute("Sample: the newest of each part")
    own = Attribute("Node: this node as of its newest sample, without an age")

    def own_node() -> Node:
        """Return `own` with the age of its values. Does not block."""

    def known_nodes() -> Sequence[Node]:
        """Return the nodes that the source itself knows, this one included, ordered by id. Does not block."""

    def processes(max_age: float) -> Awaitable[ProcessTable]:
        """
        Return the process table. It is scanned again first if it is older than ``max_age`` seconds.

        Calls during a scan share its result. If a scan fails or times out, the old table is returned; if
        there is none, `SourceUnavailable` or `TimedOut` is raised.
        """

    def process(pid: int) -> Awaitable[Process]:
        """Read one process now and return it. :raises NotFound: there is no such process."""

    def refresh() -> Awaitable[None]:
        """Read the state of this node again, after it was changed. Never raises."""

    def counters() -> Iterable[Counter]:
        """Return the counters for `stats`."""


class ICommands(Interface):
    """Runs the commands of `[commands]` for admins."""

    def names() -> Sequence[str]:
        """Return the names of all commands, sorted."""

    def start(name: str) -> Awaitable[AsyncGenerator[Output, None]]:
        """
        Start a command. The generator yields its output line by line, and its exit status last.

        Closing the generator kills the command. A slow consumer slows the command down.

        :raises NotFound: there is no such command. :raises NotPossible: its program cannot be started.
        :raises TooMany: too many commands are running.
        """


class ITokens(Interface):
    """The tokens file, which gives callers over tcp a role."""

    def check(token: str, caller: Caller) -> Awaitable[Caller | None]:
        """
        Return ``caller`` with the role and name of this token; None if the token is not in the file.

        :raises NotAllowed: the token is valid, but its owner is not a user of this node.
        :raises NotPossible: the tokens file cannot be read or trusted; the text says why.
        """


class ISignIn(Interface):
    """The way in for browsers, for `page`."""

    def code(caller: Caller) -> tuple[str, str]:
        """
        Return the URL of the page, and a code with which one browser can become ``caller`` there.

        It is good for a minute.

        :raises NotPossible: there is no page here, or nobody can sign in at it.
        """


class IStoppable(Interface):
    """The daemon as a whole, for `shutdown` and for `stats`."""

    def stop(reason: str) -> None:
        """Stop the daemon cleanly, soon after this returns."""
