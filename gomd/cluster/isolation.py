"""Notices that this node hears no other one any more, or none at all, and says so once until it does."""

from __future__ import annotations

from typing import Final

#: Heartbeats without any other node that is up, after which that is said.
MAX_HEARTBEATS_ALONE: Final = 10


class Isolation:
    """:param heartbeat: seconds between two heartbeats. Moments are on the caller's clock."""

    def __init__(self, heartbeat: float) -> None:
        self._max_silence = heartbeat * MAX_HEARTBEATS_ALONE
        self._since: float | None = None
        self.isolated = False

    def check(self, up: int, down: int, seeds: int, now: float) -> str:
        """
        Return a sentence when there is news, else nothing; ``isolated`` tells whether it is bad news.

        :param up: other nodes that are up. :param down: those that should be and are not.
        :param seeds: addresses that are asked for others.
        """
        if up:
            self._since = None
            if self.isolated:
                self.isolated = False
                return "this node hears other nodes again"
            return ""
        if not (down or seeds):
            self._since = None
            return ""
        if self._since is None:
            self._since = now
        if self.isolated or now - self._since < self._max_silence:
            return ""
        self.isolated = True
        return (
            f"this node has heard no other one for {now - self._since:.0f} s ({down} are known, {seeds} "
            "seeds are asked): see whether they run, have the same key, and can be reached from here"
        )
