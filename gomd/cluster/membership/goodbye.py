"""The leave message of a node that stops, sent several times because a datagram may be lost."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from gomd.cluster.membership.heartbeats import Heartbeats
from gomd.cluster.membership.state_changes import shortened
from libgomd.wire import messages

#: How often a leave message is sent.
_REPEATS: Final = 4
#: Seconds between two of them.
_INTERVAL: Final = 0.05


def say_goodbye(clock: IReactorTime, heartbeats: Heartbeats, count: int, reason: str) -> Deferred[None]:
    """
    Send a leave message to ``count`` members, several times. The Deferred fires when that is done.

    :param reason: shown to users of the other nodes.
    """
    goodbye = messages.Leave(heartbeats.incarnation, shortened(reason))
    heartbeats.broadcast(goodbye, count)
    for number in range(1, _REPEATS):
        clock.callLater(_INTERVAL * number, heartbeats.broadcast, goodbye, count)
    return deferLater(clock, _INTERVAL * (_REPEATS - 0.5))
