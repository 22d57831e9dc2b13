"""The other nodes: which there are, how they are asked, what happens to them, and the tree over them all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Iterable, Sequence
from typing import Any, NamedTuple

from zope.interface import Attribute, Interface

from libgomd.model import Caller, Counter, Event, Node
from libgomd.wire.lines import Request
from libgomd.wire.tree import TreePath


class IMembership(Interface):
    """Which nodes there are and what was last heard of them."""

    own_id = Attribute("int: the id of this node")

    def nodes() -> Sequence[Node]:
        """Every configured node, down ones too, ordered by id. Does not block."""

    def find(key: str) -> Node:
        """
        The node with this id or name. Does not block.

        :raises NotFound: there is none; names the nearest that there is.
        """

    def counters() -> Iterable[Counter]:
        """What it counted, for `stats`."""


class IPeers(Interface):
    """The other nodes' daemons, as this one reaches them."""

    def read(node: Node, path: str) -> Awaitable[bytes]:
        """
        Ask ``node`` by datagram what a path of its tree says.

        :raises PeerUnreachable: it cannot be asked from here. :raises TimedOut: it did not answer.
        :raises NotPossible: it says more than a datagram holds: ask by `ask`.
        :raises RequestError: it said no.
        """

    def cur_node(node: Node, pid: int) -> Awaitable[int]:
        """
        Ask ``node``, the home of ``pid``, by datagram which node it runs on; never 0.

        Errors as in `read`.
        """

    def ask(node: Node, request: Request, caller: Caller, json: bool) -> Awaitable[ForwardedReply]:
        """
        Send a request to ``node`` over a stream, on behalf of ``caller``, and give its reply.

        :raises PeerUnreachable: it cannot be reached, or is not who it should be.
        :raises TimedOut: it did not answer in time.
        """

    def open(node: Node, request: Request, caller: Caller) -> Awaitable[Any]:
        """
        Send a request to ``node`` on behalf of ``caller`` that turns the stream into one of frames.

        :returns: a `gomd.jobs.lifecycle.frame_stream.FrameStream`.
        :raises RequestError: it said no. Other errors as in `ask`.
        """

    def counters() -> Iterable[Counter]:
        """What it counted, for `stats`."""


class ForwardedReply(NamedTuple):
    """
    The reply of another daemon, in the format its caller has chosen.

    :ivar rows: the lines of its block, some at a time, until it is closed; None without a block.
    """

    code: int
    text: str
    rows: AsyncGenerator[list[str], None] | None


class IEvents(Interface):
    """What happened lately, and what happens next."""

    def recent() -> Sequence[Event]:
        """The last events, oldest first, a bounded number."""

    def publish(event: Event) -> None:
        """Tell everybody who follows. Never raises, never blocks."""

    def follow() -> AsyncGenerator[Event, None]:
        """
        Events from now on, until the iterator is closed.

        A follower that is too slow loses the oldest; the next event he gets says how many, in its
        reason.
        """


class ITree(Interface):
    """The tree of DESIGN 4.4 on this node: files by path, for a caller."""

    def list_directory(path: TreePath, caller: Caller) -> Awaitable[Sequence[str]]:
        """The names in a directory. Errors as in `INodeSource.list_directory`."""

    def read_file(path: TreePath, caller: Caller) -> Awaitable[bytes]:
        """The bytes of a file. Errors as in `INodeSource.read_file`, and `TimedOut`."""

    def write_file(path: TreePath, value: str) -> Awaitable[None]:
        """Write a value. Errors as in `INodeSource.write_file`, and `TimedOut`."""

    def set_speed(speed: int) -> Awaitable[None]:
        """Set the node's speed. Errors as in `INodeSource.set_speed`, and `TimedOut`."""
