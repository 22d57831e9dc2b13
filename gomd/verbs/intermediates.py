"""Chooses the node that asks a branch, and remembers which are no good for that, or of an older version."""

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
        self._not_joining: dict[int, float] = {}

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

    def joins(self, node: int, now: float) -> bool:
        """Return whether ``node`` may know how to join rounds: it has not refused that lately."""
        return self._not_joining.get(node, now) <= now

    def note_not_joining(self, node: int, now: float) -> None:
        """Do not ask ``node`` to join rounds for a long while: its version does not know how to."""
        self._not_joining = _noted(self._not_joining, node, now, TOO_OLD_SECONDS)

    def _avoid(self, node: int, now: float, seconds: float) -> None:
        self._avoided = _noted(self._avoided, node, now, seconds)


def _noted(noted: dict[int, float], node: int, now: float, seconds: float) -> dict[int, float]:
    if len(noted) >= MAX_REMEMBERED:
        noted = {each: until for each, until in noted.items() if until > now}
    noted[node] = now + seconds
    return noted
