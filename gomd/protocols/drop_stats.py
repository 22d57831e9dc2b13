"""Statistics of dropped datagrams, by kind and by sender. They are never logged one by one."""

from __future__ import annotations

from collections.abc import Iterable

from libgomd.model import Counter

#: Senders that are remembered, and how many of the worst `stats` shows.
MAX_SENDERS = 1000
SHOWN_SENDERS = 10


class DropStats:
    """
    Counts dropped datagrams. Beyond `MAX_SENDERS` senders, those with the fewest are forgotten.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, int] = {}
        self._senders: dict[str, int] = {}

    def count(self, kind: str, sender: str) -> None:
        """Count one dropped packet; ``kind`` is one of a few words, ``sender`` an address."""
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        count = self._senders.get(sender)
        if count is None and len(self._senders) >= MAX_SENDERS:
            self._forget_small()
        self._senders[sender] = (count or 0) + 1

    def _forget_small(self) -> None:
        """Keep the worse half, so that a flood of forged addresses costs little and hides no real sender."""
        worst = sorted(self._senders.items(), key=lambda item: item[1], reverse=True)
        self._senders = dict(worst[: MAX_SENDERS // 2])

    def counters(self) -> Iterable[Counter]:
        """Return each kind, and the worst senders."""
        for kind, count in sorted(self._kinds.items()):
            yield Counter(f"datagrams_dropped_{kind}", count, f"datagrams dropped: {kind}")
        worst = sorted(self._senders.items(), key=lambda item: item[1], reverse=True)[:SHOWN_SENDERS]
        for rank, (sender, count) in enumerate(worst, 1):
            yield Counter(f"datagrams_worst_{rank}", count, f"dropped from {sender}")
