"""A node that a tree follows, in a branch or directly, and a branch: one relay with the nodes behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gomd.verbs.node_feeds import Take
from gomd.verbs.node_rounds import NodeRound
from libgomd.model import Node


class FollowedNode(ABC):
    """
    A node that somebody follows.

    :ivar branch: in which it is followed, if in one. :ivar single: stands for the stream that follows it
        directly, if one does. :ivar task: runs that stream.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.branch: Branch | None = None
        self.single: object | None = None
        self.task: Deferred[None] | None = None

    @abstractmethod
    def opened(self) -> None:
        """Note that the node, or its relay, has agreed."""

    @abstractmethod
    def take(self, rows: NodeRound) -> None:
        """Take a round. :raises MalformedReply: it is not good enough. :raises NotPossible: likewise."""

    @abstractmethod
    def failed(self, error: BaseException) -> None:
        """Note why the node is followed no more."""


class AwaitedNode(FollowedNode):
    """
    A node whose follower waits.

    :ivar ended: fails with why it is followed no more. :param opened: called when the node has agreed.
    :param take: called with each round; raises as `FollowedNode.take`.
    """

    def __init__(self, node: Node, opened: Callable[[], None], take: Take) -> None:
        super().__init__(node)
        self.ended: Deferred[None] = Deferred()
        self._opened = opened
        self._take = take

    def opened(self) -> None:
        """See `FollowedNode`."""
        self._opened()

    def take(self, rows: NodeRound) -> None:
        """See `FollowedNode`."""
        self._take(rows)

    def failed(self, error: BaseException) -> None:
        """See `FollowedNode`."""
        if not self.ended.called:
            self.ended.errback(Failure(error))


class Branch:
    """
    One stream to a relay.

    :ivar left: the nodes that are followed through it, the relay among them.
    :ivar joined: whether the relay is asked to join their rounds.
    """

    def __init__(self, relay: Node, members: Iterable[FollowedNode], joined: bool) -> None:
        self.relay = relay
        self.joined = joined
        self.left = {each.node.id: each for each in members}
        self.asked = frozenset(self.left)
        self.task: Deferred[None] | None = None
