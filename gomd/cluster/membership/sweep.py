"""The check of every node, once a heartbeat: finds what the watchers of the ring have missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gomd.cluster.isolation import Isolation
from gomd.cluster.membership.admission import IAdmission
from gomd.cluster.membership.failure_detector import FailureDetector
from gomd.cluster.membership.heartbeats import Heartbeats
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.state_changes import StateChanges
from gomd.cluster.membership.table import Members
from libgomd.model import EventKind, Node
from libgomd.wire.messages import MemberState

#: Nodes that are up, beyond which the values of other nodes are old and each death is work for every node.
MAX_NODES: Final = 1000
#: Missing heartbeats after which a node is checked although its watchers did not report it.
_MAX_MISSED_HEARTBEATS: Final = 5


class Sweep:
    """
    Finds silent nodes that nobody reported, removes those that were down too long, and tells of isolation.

    :param own: gives this node. :param seeds: gives the number of seeds but for this node itself.
    :param forget: seconds for which a node that is down is remembered.
    """

    def __init__(
        self,
        own: Callable[[], Node],
        members: Members,
        heartbeats: Heartbeats,
        detector: FailureDetector,
        changes: StateChanges,
        admission: IAdmission,
        timing: Timing,
        seeds: Callable[[], int],
        forget: float,
    ) -> None:
        self._own = own
        self._members = members
        self._heartbeats = heartbeats
        self._detector = detector
        self._changes = changes
        self._admission = admission
        self._timing = timing
        self._seeds = seeds
        self._forget = forget
        self._isolation = Isolation(timing.heartbeat)
        self._next_at = 0.0
        self._is_large = False

    def schedule(self, now: float) -> None:
        """Let the next look be one heartbeat from now."""
        self._next_at = now + self._timing.heartbeat

    def step(self, now: float) -> None:
        """Look at every node if it is time for that. Call it once a tick."""
        if now >= self._next_at:
            self.schedule(now)
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        self._heartbeats.update_unreached(now)
        silence = max(self._timing.silence_timeout, _MAX_MISSED_HEARTBEATS * self._heartbeats.interval())
        for member in list(self._members):
            # A moment that this process was away for can have made it look as if it lay ahead.
            member.heard_at, member.vouched_at = min(member.heard_at, now), min(member.vouched_at, now)
            if member.state is MemberState.UP:
                if now - member.last_alive > silence:
                    self._detector.start(member, now)
            elif now - member.gone_since > self._forget and not self._admission.fixed:
                self._members.remove(member)
        self._look_for_isolation(now)
        self._look_at_size()

    def _look_at_size(self) -> None:
        """Warn once when there are more nodes than this engine is for."""
        up = self._members.up_count + 1
        if up <= MAX_NODES * 0.9:
            self._is_large = False
        elif up > MAX_NODES and not self._is_large:
            self._is_large = True
            own, age = self._own(), self._heartbeats.interval()
            self._changes.warn(
                own.id,
                own.name,
                f"{up} nodes are more than the {MAX_NODES} that this engine is for, and their "
                f"values are up to {age:.0f} s old: use [peers] engine = swim or serf",
            )

    def _look_for_isolation(self, now: float) -> None:
        up = self._members.up_count
        down = 0 if up else sum(member.state is MemberState.DOWN for member in self._members)
        if text := self._isolation.check(up, down, self._seeds(), now):
            own = self._own()
            if self._isolation.isolated:
                self._changes.warn(own.id, own.name, text)
            else:
                self._changes.publish(EventKind.UP, own.id, own.name, text, own.id)
