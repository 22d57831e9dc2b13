"""Warnings about nodes whose datagrams are dropped: a wrong clock, replayed datagrams, a copied machine."""

from __future__ import annotations

from collections.abc import Callable

from gomd.cluster.membership.id_conflicts import IdConflicts
from gomd.cluster.membership.state_changes import StateChanges
from gomd.cluster.membership.steady_clock import SteadyClock
from gomd.cluster.membership.table import Members
from libgomd.model import EventKind, Node


class DatagramWarnings:
    """Publishes what the peer port found out about datagrams that never reach the engine."""

    def __init__(
        self,
        own: Callable[[], Node],
        members: Members,
        changes: StateChanges,
        id_conflicts: IdConflicts,
        time: SteadyClock,
    ) -> None:
        self._own = own
        self._own_id = own().id
        self._members = members
        self._changes = changes
        self._id_conflicts = id_conflicts
        self._time = time

    def wrong_clock(self, node: int, name: str, skew: float) -> None:
        """Warn that the clock of a node is ``skew`` seconds ahead of ours, so that it is not heard."""
        if self._id_conflicts.is_news(node, "clock", self._time.now()):
            way = "ahead of" if skew > 0 else "behind"
            self._changes.publish(
                EventKind.SUSPECT, node, name,
                f"its clock is {abs(skew):.0f} s {way} ours, so its datagrams are dropped: set the clocks",
                self._own_id,
            )  # fmt: skip

    def right_clock(self, node: int) -> None:
        """Note that the clock of a node is right again."""
        self._id_conflicts.is_over(node, "clock")

    def replayed(self, node: int) -> None:
        """Warn that all datagrams of a node are replays."""
        member = self._members.get(node)
        self._changes.publish(
            EventKind.SUSPECT, node, member.name if member else "",
            "heard, but all of it replayed: its machine was put back to a snapshot, or somebody sends "
            "recordings of it; it is asked to begin a new numbering",
            self._own_id,
        )  # fmt: skip

    def renumbered(self, name: str) -> None:
        """Warn that node ``name`` took our datagrams for replays, so that we use new sequence numbers."""
        if self._id_conflicts.is_news(self._own_id, "replayed", self._time.now()):
            self._changes.publish(
                EventKind.SUSPECT, self._own_id, self._own().name,
                f"{name} had heard all that this node sends before, as after a return to a snapshot: a new "
                "numbering begins",
                self._own_id,
            )  # fmt: skip

    def copied(self, host: str) -> None:
        """Warn that a daemon at ``host`` has our id and instance and sends datagrams that are not ours."""
        if self._id_conflicts.is_news(self._own_id, "copied", self._time.now()):
            self._changes.warn(
                self._own_id, self._own().name,
                f"a copy of this machine runs at {host}, with a copy of this daemon: give the copy another "
                "[node] id and start its gomd again",
            )  # fmt: skip
