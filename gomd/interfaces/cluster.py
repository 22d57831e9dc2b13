"""Interfaces to the cluster: membership, requests to other nodes, events, and the tree over all nodes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

from zope.interface import Attribute, Interface

from libgomd.model import Caller, Counter, Event, Node
from libgomd.wire.lines import Request
from libgomd.wire.tree import TreePath


class IMembership(Interface):
    """The nodes of the cluster and the newest values of each."""

    own_id = Attribute("int: the id of this node")

    def nodes() -> Sequence[Node]:
        """Return every configured node, also those that are down, ordered by id. Does not block."""

    def find(key: str) -> Node:
        """
        Return the node with this id or name. Does not block.

        :raises NotFound: there is none; the text suggests a similar name.
        """

    def counters() -> Iterable[Counter]:
        """Return the counters for `stats`."""


class IPeers(Interface):
    """Sends requests to the daemons of other nodes."""

    def read(node: Node, path: str) -> Awaitable[bytes]:
        """
        Read a file of the tree of ``node`` by datagram.

        :raises PeerUnreachable: no datagrams are sent from here, or the node is not up.
        :raises TimedOut: it did not answer.
        :raises NotPossible: the content exceeds a datagram; use `ask`.
        :raises RequestError: it refused.
        """

    def cur_node(node: Node, pid: int) -> Awaitable[int]:
        """
        Ask ``node``, the home of process ``pid``, by datagram on which node the process runs.

        :returns: a node id, never 0. Errors as in `read`.
        """

    def ask(node: Node, request: Request, caller: Caller, json: bool) -> Awaitable[ForwardedReply]:
        """
        Send a request to ``node`` over a stream, on behalf of ``caller``, and return its reply.

        :raises PeerUnreachable: it cannot be reached, or another node answers at its address.
        :raises TimedOut: it did not answer in time.
        """

    def follow(
        node: Node,
        request: Request,
        caller: Caller,
        opened: Callable[[], None],
        take: Callable[[bytes], None],
    ) -> Awaitable[None]:
        """
        Send a `watch` to ``node``, in JSON and on behalf of ``caller``, and take what comes until it ends.

        Cancelling closes the stream.

        :param opened: called once the node has agreed. :param take: called with the bytes of the block as
            they come, not line by line; an error of it closes the stream and is raised.
        :raises PeerUnreachable: the stream ended. :raises RequestError: the node refused. Others as in `ask`.
        """

    def open(node: Node, request: Request, caller: Caller) -> Awaitable[Any]:
        """
        Send a request to ``node``, on behalf of ``caller``, after which the stream carries frames.

        :returns: a `gomd.jobs.lifecycle.frame_stream.FrameStream`.
        :raises RequestError: it refused. Other errors as in `ask`.
        """

    def counters() -> Iterable[Counter]:
        """Return the counters for `stats`."""


class ForwardedReply(NamedTuple):
    """
    The reply of another daemon, in the format that the caller has chosen.

    :ivar rows: yields the lines of its block, some at a time; None without a block. Close it to stop early.
    """

    code: int
    text: str
    rows: AsyncGenerator[Sequence[str], None] | None


class IEvents(Interface):
    """Past events and those to come."""

    def recent() -> Sequence[Event]:
        """Return the last events, oldest first. Their number is bounded."""

    def publish(event: Event) -> None:
        """Send an event to all followers. Never raises, never blocks."""

    def follow() -> AsyncGenerator[Event, None]:
        """
        Yield events from now on, until the generator is closed.

        A follower that is too slow loses the oldest ones. The reason of the next event it gets says how many.
        """


class ITree(Interface):
    """The /proc tree of this node and the cluster, read and written on behalf of a caller."""

    def list_directory(path: TreePath, caller: Caller) -> Awaitable[Sequence[str]]:
        """Return the names in a directory. Errors as in `INodeSource.list_directory`, and `TimedOut`."""

    def read_file(path: TreePath, caller: Caller) -> Awaitable[bytes]:
        """Return the content of a file. Errors as in `INodeSource.read_file`, and `TimedOut`."""

    def write_file(path: TreePath, value: str) -> Awaitable[None]:
        """Write a value. Errors as in `INodeSource.write_file`, and `TimedOut`."""

    def set_speed(speed: int) -> Awaitable[None]:
        """Set the speed of this node. Errors as in `INodeSource.set_speed`, and `TimedOut`."""
