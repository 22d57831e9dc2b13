"""
The replay window: refuses datagrams that are replays or too old, in bounded memory and without a clock.

Theory of operation. A sender numbers its datagrams (docs/wire.md). For each instance of a sender, the window
remembers the highest number received and, in one integer used as a bit map, which of the `WINDOW` numbers
below it were received. A datagram within 30 s of our clock is fresh if its number is above the highest one,
or its bit is not set; one below the window is refused, since it may have been received. Memory is bounded by
forgetting a sender that was silent for long. The newest time stamp of all forgotten senders becomes the
floor: an unknown sender is accepted only with datagrams sent after the floor, so that no datagram is ever
accepted twice.
"""

from __future__ import annotations

import enum
from typing import Final

from libgomd.wire.messages import Datagram

#: Milliseconds by which the clocks of sender and receiver may differ, including the transit time.
MAX_AGE: Final = 30_000
#: Seconds by which a clock that was reported may differ to count as right again. This is less than the limit
#: for a report, so that a clock near the limit is reported only once.
RECOVERED_SKEW_SECONDS: Final = 25.0
#: Number of later datagrams that may overtake a datagram before it is refused.
WINDOW: Final = 1024
_MASK: Final = (1 << WINDOW) - 1
#: Number of the longest silent senders among which the one to forget is chosen.
_EVICTION_CANDIDATES: Final = 8


class Verdict(enum.Enum):
    """The verdict on a datagram whose seal is valid."""

    FRESH = "new: process it"
    REPLAYED = "received before, or too late to tell: drop and count it"
    OLD = "sent more than 30 s ago: an old recording, or one of the clocks is wrong"
    FUTURE = "sent more than 30 s from now: one of the clocks is wrong"


def differs(skew: float) -> bool:
    """
    Return whether two clocks differ so much that one of them may drop what the other stamps.

    :param skew: by how many seconds, as a datagram shows that was on its way for a moment.
    """
    return abs(skew) >= RECOVERED_SKEW_SECONDS


class _Sender:
    __slots__ = ("floor", "highest", "newest", "seen")

    def __init__(self, highest: int, newest: int, floor: int) -> None:
        self.floor = floor
        self.highest = highest
        self.newest = newest
        self.seen = 1


class ReplayWindow:
    """
    Remembers the datagrams received from up to ``max_senders`` instances of senders.

    See the theory of operation above for what happens when there are more.
    """

    def __init__(self, max_senders: int = 4096) -> None:
        self._max = max_senders
        self._senders: dict[tuple[int, int], _Sender] = {}
        self._floor = -1
        #: Number of senders that were forgotten before their datagrams had become too old.
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._senders)

    def known(self, node: int, instance: int) -> tuple[int, int] | None:
        """Return the highest number and the newest time stamp of an instance of a node; None if unknown."""
        sender = self._senders.get((node, instance))
        return None if sender is None else (sender.highest, sender.newest)

    def admit(self, datagram: Datagram, now: int) -> Verdict:
        """
        Return the verdict on ``datagram``, and remember it if it is fresh.

        :param datagram: its seal must be valid.
        :param now: milliseconds since the epoch.
        """
        name, instance, sent_at, sequence, _message = datagram
        if sent_at < now - MAX_AGE:
            return Verdict.OLD
        if sent_at > now + MAX_AGE:
            return Verdict.FUTURE
        key = (name, instance)
        sender = self._senders.pop(key, None)
        if sender is None:
            if sent_at <= self._floor:
                return Verdict.REPLAYED
            # Datagrams of this sender up to the floor may have been received before it was forgotten.
            floor = self._floor
            self._make_room(now)
            self._senders[key] = _Sender(sequence, sent_at, floor)
            return Verdict.FRESH
        self._senders[key] = sender  # moved to the end: the longest silent sender stays first
        if sent_at <= sender.floor:
            return Verdict.REPLAYED
        ahead = sequence - sender.highest
        if ahead > 0:
            sender.seen = ((sender.seen << ahead) | 1) & _MASK if ahead < WINDOW else 1
            sender.highest = sequence
        else:
            bit = 1 << -ahead if ahead > -WINDOW else 0
            if not bit or sender.seen & bit:
                return Verdict.REPLAYED
            sender.seen |= bit
        sender.newest = max(sender.newest, sent_at)
        return Verdict.FRESH

    def _make_room(self, now: int) -> None:
        """Forget one sender if the table is full, preferably one whose datagrams are all too old by now."""
        if len(self._senders) < self._max:
            return
        silent = [key for key, _ in zip(self._senders, range(_EVICTION_CANDIDATES), strict=False)]
        key = min(silent, key=lambda each: self._senders[each].newest)
        newest = self._senders.pop(key).newest
        self._floor = max(self._floor, newest)
        if newest >= now - MAX_AGE:
            self.evicted += 1
