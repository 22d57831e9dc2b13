"""Chooses the node that asks a branch, and remembers which nodes have lately been no good for that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from libgomd.model import Node

#: Seconds for which a node is not chosen after it has failed, and after it did not know the verb.
FAILED_SECONDS: Final = 60.0
TOO_OLD_SECONDS: Final = 600.0
#: Largest number of nodes that are remembered.
MAX_REMEMBERED: Final = 65_536


class Intermediates:
    """
    Times are seconds of the monotonic clock.

    :ivar failed: how many relays have failed. :ivar too_old: how many did not know the verb.
    """

    def __init__(self) -> None:
        self.failed = 0
        self.too_old = 0
        self._avoided: dict[int, float] = {}

    def choose(self, nodes: Iterable[Node], own: int, now: float) -> Node | None:
        """
        Return a node that is up and has not failed lately; None when there is none.

        :param own: the id of this node: with it, the daemons of a cluster choose different ones.
        """
        fit = [node for node in nodes if node.up and self._avoided.get(node.id, now) <= now]
        return fit[own % len(fit)] if fit else None

    def note_failure(self, node: int, now: float) -> None:
        """Do not choose ``node`` for a while: it could not be reached, or has not done what it was asked."""
        self.failed += 1
        self._avoid(node, now, FAILED_SECONDS)

    def note_too_old(self, node: int, now: float) -> None:
        """Do not choose ``node`` for a long while: its version does not know the verb."""
        self.too_old += 1
        self._avoid(node, now, TOO_OLD_SECONDS)

    def _avoid(self, node: int, now: float, seconds: float) -> None:
        if len(self._avoided) >= MAX_REMEMBERED:
            self._avoided = {each: until for each, until in self._avoided.items() if until > now}
        self._avoided[node] = now + seconds
