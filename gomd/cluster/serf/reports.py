"""What the datagram port reports to the serf engine: problems of the cluster that a person must solve."""

from __future__ import annotations

from collections.abc import Callable

from gomd.cluster.problem_reports import ProblemReports
from gomd.cluster.summaries import Address, Summaries
from libgomd.model import Node
from libgomd.wire.messages import Datagram


class DatagramReports:
    """
    The part of `gomd.protocols.membership_listener.MembershipListener` that changes no membership.

    :param own: gives this node. :param name_of: returns the name of a node that is known, else an empty text.
    :param is_settling: returns whether a node is up with this engine, or may soon be: then it has two
        engines, as while a cluster changes from one to the other.
    """

    def __init__(
        self,
        own: Callable[[], Node],
        name_of: Callable[[int], str],
        problems: ProblemReports,
        summaries: Summaries,
        is_settling: Callable[[int], bool],
    ) -> None:
        self.foreign = 0
        self._own = own
        self._name_of = name_of
        self._problems = problems
        self._summaries = summaries
        self._is_settling = is_settling

    def _name(self, node: int) -> str:
        return self._name_of(node) or f"node{node}"

    def receive(self, datagram: Datagram, address: Address, multicast: bool = False) -> None:
        """Count and report a membership datagram of another engine, whose node cannot be a member here."""
        self.foreign += 1
        if self._is_settling(datagram.sender):
            return
        self._problems.report(
            datagram.sender,
            self._name(datagram.sender),
            f"the daemon at {address[0]} has another [peers] engine: give all nodes the same",
        )

    def wrong_clock(self, node: int, name: str, skew: float) -> None:
        """Warn that the clock of a node is ``skew`` seconds ahead of ours: its datagrams are dropped."""
        way = "ahead of" if skew > 0 else "behind"
        reason = f"its clock is {abs(skew):.0f} s {way} ours, so its datagrams are dropped: set the clocks"
        self._problems.report(node, name, reason, f"clock {node}")

    def right_clock(self, node: int) -> None:
        """Note that the clock of a node is right again."""
        self._problems.solved(f"clock {node}")

    def differing(self, node: int) -> None:
        """Do nothing: the node is asked again anyway."""

    def replayed(self, node: int) -> None:
        """Warn that all questions and answers of a node are replays."""
        reason = "heard, but all of it replayed: its machine was put back to a snapshot"
        self._problems.report(node, self._name(node), reason, f"replayed {node}")

    def renumbered(self, name: str) -> None:
        """Warn that node ``name`` took our datagrams for replays, so that we use new sequence numbers."""
        own = self._own()
        self._problems.report(own.id, own.name, f"{name} had heard all that this node sends before")

    def copied(self, host: str) -> None:
        """Warn that a daemon at ``host`` has our id and instance and sends datagrams that are not ours."""
        own = self._own()
        reason = f"a copy of this machine runs at {host}: give it another [node] id and start its gomd again"
        self._problems.report(own.id, own.name, reason, "copied")

    def slept(self, seconds: float) -> None:
        """Age all values by the seconds that the machine slept."""
        self._summaries.add_age(seconds)
