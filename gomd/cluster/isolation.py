"""Detects that this node hears no other node although it should, and reports it once."""

from __future__ import annotations

from typing import Final

#: Heartbeats without any other node that is up, after which the node counts as isolated.
MAX_HEARTBEATS_ALONE: Final = 10
#: How the two sentences begin.
BEGIN_OF_ISOLATION: Final = "this node has heard no other one"
END_OF_ISOLATION: Final = "this node hears other nodes again"


class Isolation:
    """
    Whether this node is isolated.

    :param heartbeat: seconds between two heartbeats.
    :ivar isolated: whether isolation was reported and has not ended since.
    """

    def __init__(self, heartbeat: float) -> None:
        self._max_silence = heartbeat * MAX_HEARTBEATS_ALONE
        self._since: float | None = None
        self.isolated = False

    def check(self, up: int, down: int, seeds: int, now: float) -> str:
        """
        Return a sentence when isolation begins or ends, else an empty string.

        :param up: number of other nodes that are up. :param down: number of nodes that are down.
        :param seeds: number of seed addresses that are contacted.
        :param now: seconds of a monotonic clock.
        """
        if up:
            self._since = None
            if self.isolated:
                self.isolated = False
                return END_OF_ISOLATION
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
            f"{BEGIN_OF_ISOLATION} for {now - self._since:.0f} s ({down} are known, {seeds} "
            "seeds are asked): see whether they run, have the same key, and can be reached from here"
        )
