"""Notices that this node hears no other one any more, or none at all, and says so once until it does."""

from __future__ import annotations

from typing import Final

#: Heartbeats without any other node that is up, after which that is said.
PATIENCE: Final = 10


class Isolation:
    """:param heartbeat: seconds between two heartbeats. Moments are on the caller's clock."""

    def __init__(self, heartbeat: float) -> None:
        self._patience = heartbeat * PATIENCE
        self._since: float | None = None
        self.said = False

    def look(self, up: int, down: int, seeds: int, now: float) -> str:
        """
        Return a sentence when there is news, else nothing; ``said`` tells whether it is bad news.

        :param up: other nodes that are up. :param down: those that should be and are not.
        :param seeds: addresses that are asked for others.
        """
        if up:
            self._since = None
            if self.said:
                self.said = False
                return "this node hears other nodes again"
            return ""
        if not (down or seeds):
            self._since = None
            return ""
        if self._since is None:
            self._since = now
        if self.said or now - self._since < self._patience:
            return ""
        self.said = True
        return (
            f"this node has heard no other one for {now - self._since:.0f} s ({down} are known, {seeds} "
            "seeds are asked): see whether they run, have the same key, and can be reached from here"
        )
