"""The feed of one node: it ends when it is stopped, whatever that does to what it waits for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.task import Clock

from gomd.verbs.node_feeds import Feed, Take
from libgomd.errors import PeerUnreachable
from libgomd.model import Node
from tests.unit.verbs.three_nodes import BETA


@pytest.mark.parametrize(
    "error", [CancelledError(), ConnectingCancelledError(None), PeerUnreachable("gone"), ValueError("a bug")]
)
def test_a_feed_that_was_stopped_asks_nobody_again(error: Exception) -> None:
    """Its viewer may leave while the node is being connected to; the error of that is no reason to retry."""
    clock = Clock()
    followed: list[Node] = []

    async def follow(node: Node, opened: Callable[[], None], take: Take) -> None:
        followed.append(node)
        await Deferred(lambda waiting: waiting.errback(error))

    async def ask(node: Node) -> None:
        raise AssertionError("it follows")

    feed = Feed(clock, lambda: BETA, ask, follow, DeferredSemaphore(1), 1.0, lambda: None)  # type: ignore[arg-type]
    feed.stop()
    clock.pump([1.0] * 100)
    assert followed == [BETA]
    assert clock.getDelayedCalls() == []
