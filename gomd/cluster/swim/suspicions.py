"""
Who found a node silent first, which the events of kinship do not say.

A failed probe of this node raises kinship's counter ``probes_failed`` and, when no other node was first, an
event `MemberSuspect`. So one such event beside one failed probe is this node's own suspicion. This node then
tells all others in a message of its own, which travels with kinship's packets; they wait for it for a moment
before they publish the event. Where several nodes die at once the two cannot always be matched; then nobody
is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from gomd.cluster.swim.member import SwimMember
from libgomd.model import MAX_NODE_ID

#: Seconds for which the event of a suspicion waits for the message that says whose it is.
NAME_TIMEOUT: Final = 1.0
#: Seconds within which a failed probe and a suspicion belong together: two polls.
_MATCH_SECONDS: Final = 0.5
#: Seconds for which a message that came before its suspicion is kept, and how many of them.
_KEEP_SECONDS: Final = 30.0
_MAX_KEPT: Final = 1000
#: Maximum number of messages of this node in a second; more than that is a network that is gone, not a node.
_MAX_TOLD: Final = 8
_MESSAGE: Final = re.compile(rb"gomd suspect ([0-9]{1,5}) ([0-9]{1,20})")


def message_of(member: SwimMember) -> bytes:
    """Return the message that says that its sender suspects ``member``."""
    return b"gomd suspect %d %d" % (member.id, member.epoch)


def parse_message(data: bytes) -> tuple[int, int] | None:
    """Return the node and its epoch that a message is about; None when it is no such message."""
    found = _MESSAGE.fullmatch(data)
    if found is None or not 0 < int(found[1]) <= MAX_NODE_ID:
        return None
    return int(found[1]), int(found[2])


class Suspicions:
    """
    Suspicions that are not published yet, and who had them.

    :param own_id: this node. :param tell: sends a message to all members; does not block.
    """

    def __init__(self, own_id: int, tell: Callable[[bytes], None]) -> None:
        self._own_id = own_id
        self._tell = tell
        self._waiting: dict[int, tuple[SwimMember, float]] = {}
        self._said: dict[tuple[int, int], tuple[int, float]] = {}
        self._failed_probes: int | None = None
        self._failures: list[float] = []
        self._told: list[float] = []

    def suspected(self, member: SwimMember, now: float) -> None:
        """Note that kinship suspects a member; `due` yields it when it is known by whom, or is not to be."""
        by, at = self._said.pop((member.id, member.epoch), (0, now))
        member.accuser = by if now - at < _KEEP_SECONDS else 0
        self._waiting[member.id] = (member, now)

    def heard(self, data: bytes, sender: int, now: float) -> None:
        """Take a message of another node about its suspicion; anything else is ignored."""
        about = parse_message(data)
        if about is None:
            return
        waiting = self._waiting.get(about[0])
        if waiting is not None and waiting[0].epoch == about[1]:
            waiting[0].accuser = waiting[0].accuser or sender
            return
        if len(self._said) >= _MAX_KEPT:
            self._said = {key: said for key, said in self._said.items() if now - said[1] < _KEEP_SECONDS}
        if len(self._said) < _MAX_KEPT:
            self._said.setdefault(about, (sender, now))

    def probes_failed(self, count: int, now: float) -> None:
        """
        Match failed probes of this node with what it suspects, after each poll of the events.

        :param count: how many of its probes have failed since kinship was started.
        """
        before, self._failed_probes = self._failed_probes, count
        if before is not None and count > before:
            self._failures += [now] * min(count - before, _MAX_TOLD)
        self._failures = [at for at in self._failures if now - at <= _MATCH_SECONDS]
        recent = [
            each for each, at in self._waiting.values() if not each.accuser and now - at <= _MATCH_SECONDS
        ]
        if len(recent) == 1 and self._failures:
            [member] = recent
            self._failures.pop()
            member.accuser = self._own_id
            self._told = [at for at in self._told if now - at < 1.0]
            if len(self._told) < _MAX_TOLD:
                self._told.append(now)
                self._tell(message_of(member))

    def due(self, now: float) -> Iterator[SwimMember]:
        """Yield the suspected members to publish: their accuser is known, or is waited for no longer."""
        for member, since in list(self._waiting.values()):
            if member.accuser or now - since >= NAME_TIMEOUT:
                yield self._waiting.pop(member.id)[0]

    def ends(self, member: SwimMember) -> bool:
        """Forget a suspicion that is over; return whether it was still to be published."""
        return self._waiting.pop(member.id, None) is not None
