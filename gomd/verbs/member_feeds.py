"""
Feeds of nodes that are followed with many others: each is one object, since there may be ten thousand.

They do what a `gomd.verbs.node_feeds.Feed` does, without a task, a timer and a stream of their own: a
`TreeFollower` gives them their rounds, and one timer looks for all of them after nodes that are silent. So
Python's collector of cycles, which stops the daemon while it looks at everything, finds little here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from gomd.verbs.followed_nodes import FollowedNode
from gomd.verbs.node_feeds import (
    FIRST_PAUSE,
    MAX_PAUSE,
    SILENCE_GRAIN,
    SILENCE_TIMEOUT,
    Failure,
    NodeFeed,
    about,
    failure_of,
)
from gomd.verbs.node_rounds import NodeRound
from gomd.verbs.tree_watch import TreeFollower
from libgomd.errors import GomdError, TimedOut
from libgomd.model import Node

#: Feeds of this kind that are begun or ended in one turn of the reactor, a few milliseconds of work.
MEMBERS_PER_TURN: Final = 500


class MemberFeeds:
    """
    What the feeds of one watch have in common.

    :param find: gives a node by its id, as it is now; raises `GomdError`. :param changed: called with the id
        of a node when its first rows have come, and after each failure.
    """

    def __init__(
        self,
        clock: IReactorTime,
        follower: TreeFollower,
        find: Callable[[int], Node],
        changed: Callable[[int], None],
        period: float,
    ) -> None:
        self.clock = clock
        self.follower = follower
        self.find = find
        self.changed = changed
        self.period = period
        self.silence_limit = SILENCE_TIMEOUT + 3 * period
        self._feeds: set[MemberFeed] = set()
        self._timer: IDelayedCall | None = None

    def begin(self, node: Node) -> MemberFeed:
        """Return a feed of this node. It begins in this turn of the reactor."""
        feed = MemberFeed(self, node)
        self._feeds.add(feed)
        if self._timer is None:
            self._timer = self.clock.callLater(SILENCE_GRAIN, self._check)
        feed.begin()
        return feed

    def forget(self, feed: MemberFeed) -> None:
        """Look after a feed no more."""
        self._feeds.discard(feed)
        if not self._feeds and self._timer is not None:
            timer, self._timer = self._timer, None
            timer.cancel()

    def _check(self) -> None:
        self._timer = self.clock.callLater(SILENCE_GRAIN, self._check)
        now = self.clock.seconds()
        for feed in tuple(self._feeds):
            feed.check(now)


class MemberFeed(FollowedNode, NodeFeed):
    """The newest rows of one node. :ivar node: as it was when the feed began last."""

    _log: ClassVar[Logger] = Logger()

    def __init__(self, feeds: MemberFeeds, node: Node) -> None:
        FollowedNode.__init__(self, node)
        NodeFeed.__init__(self, feeds.clock, feeds.period)
        self._feeds = feeds
        self._heard_at = 0.0
        self._pause = FIRST_PAUSE
        self._timer: IDelayedCall | None = None

    def begin(self) -> None:
        """Follow the node, or say why that cannot be."""
        feeds, self._timer = self._feeds, None
        try:
            self.node = feeds.find(self.node.id)
        except GomdError as error:
            self.failed(error)
            return
        self._heard_at = feeds.clock.seconds()
        feeds.follower.begin(self)

    def stop(self) -> None:
        """See `NodeFeed`."""
        self._feeds.forget(self)
        if self._timer is None:
            self._feeds.follower.end(self)
        else:
            self._timer.cancel()
            self._timer = None

    def wake(self) -> None:
        """See `NodeFeed`."""
        self._pause = FIRST_PAUSE
        if self._timer is not None:
            self._timer.cancel()
            self.begin()

    def refuse(self, error: GomdError) -> None:
        """See `NodeFeed`."""
        self.rows = None
        if self._timer is None:
            self._feeds.follower.end(self)
            self.failed(about(self.node, error))
        else:
            self.failure = failure_of(error)

    def check(self, now: float) -> None:
        """Ask the node anew if it has said nothing for too long."""
        limit = self._feeds.silence_limit
        if self._timer is None and now - self._heard_at >= limit:
            self._feeds.follower.end(self)
            self.failed(TimedOut(f"node {self.node.id} {self.node.name} has said nothing for {limit:g} s"))

    # -- as a node that is followed

    def opened(self) -> None:
        """See `FollowedNode`."""

    def take(self, rows: NodeRound) -> None:
        """See `FollowedNode`."""
        is_first = self.rows is None
        self.rows = rows
        self._fresh_at = self._heard_at = self._clock.seconds()
        if is_first or self.failure is not None:
            self.failure = None
            self._pause = FIRST_PAUSE
            if is_first:
                self._feeds.changed(self.node.id)

    def failed(self, error: BaseException) -> None:
        """See `FollowedNode`."""
        if isinstance(error, GomdError):
            self.failure = failure_of(error)
        else:  # a bug: say so loudly, and try again
            self._log.error("a watch of another node failed: {error!r}", error=error)
            self.failure = Failure(500, "an internal error; the log has it")
        self._timer = self._feeds.clock.callLater(self._pause, self.begin)
        self._pause = min(2 * self._pause, MAX_PAUSE)
        self._feeds.changed(self.node.id)
