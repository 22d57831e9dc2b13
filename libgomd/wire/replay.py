"""
What has been received already: refuses replays and what is too old, in bounded memory, without a clock.

A sender numbers its datagrams (docs/wire.md). Of each sender the highest number is kept and, in one
integer, which of the 1024 numbers below it have come.
"""

from __future__ import annotations

import enum
from typing import Final

from libgomd.wire.messages import Datagram

#: Milliseconds that the sender's and the receiver's clocks may differ, the way included.
MAX_AGE: Final = 30_000
#: How far, in numbers, a datagram may come late.
WINDOW: Final = 1024
_MASK: Final = (1 << WINDOW) - 1
#: Among how many of the longest silent senders the one to forget is chosen.
_CANDIDATES: Final = 8


class Verdict(enum.Enum):
    """What to think of a datagram whose seal holds."""

    FRESH = "new: act on it"
    REPLAYED = "has come before, or too late to tell: drop and count it"
    OLD = "sent more than 30 s ago: an old recording, or one of the clocks is wrong"
    FUTURE = "sent more than 30 s from now: one of the clocks is wrong"


class _Sender:
    __slots__ = ("floor", "highest", "newest", "seen")

    def __init__(self, highest: int, newest: int, floor: int) -> None:
        self.floor = floor
        self.highest = highest
        self.newest = newest
        self.seen = 1


class ReplayWindow:
    """
    Remembers what came, for up to ``max_senders`` starts of senders.

    Past that number one that was silent for long is forgotten, and from then on senders that are not
    known are believed only what they sent after the last time of that one: nothing that came once is
    ever taken again.
    """

    def __init__(self, max_senders: int = 4096) -> None:
        self._max = max_senders
        self._senders: dict[tuple[int, int], _Sender] = {}
        self._floor = -1
        #: How many senders were forgotten before their datagrams had aged.
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._senders)

    def known(self, node: int, instance: int) -> tuple[int, int] | None:
        """Return the highest number that came from this start of a node, and its newest time, if known."""
        sender = self._senders.get((node, instance))
        return None if sender is None else (sender.highest, sender.newest)

    def admit(self, datagram: Datagram, now: int) -> Verdict:
        """
        Return what ``datagram`` is, and remember it when it is fresh.

        :param datagram: one whose seal held; never call this with another.
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
            # What this sender sent up to the floor may have come before it was forgotten.
            floor = self._floor
            self._make_place(now)
            self._senders[key] = _Sender(sequence, sent_at, floor)
            return Verdict.FRESH
        self._senders[key] = sender  # the longest silent one is always the first
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

    def _make_place(self, now: int) -> None:
        """Forget one sender if there is no place, at best one whose datagrams are all too old by now."""
        if len(self._senders) < self._max:
            return
        silent = [key for key, _ in zip(self._senders, range(_CANDIDATES), strict=False)]
        key = min(silent, key=lambda each: self._senders[each].newest)
        newest = self._senders.pop(key).newest
        self._floor = max(self._floor, newest)
        if newest >= now - MAX_AGE:
            self.evicted += 1
