"""The interface through which the peers' datagram port reports to a membership engine."""

from __future__ import annotations

from typing import Protocol

from libgomd.questions import Address
from libgomd.wire.messages import Datagram


class MembershipListener(Protocol):
    """A membership engine, as the datagram port calls it."""

    def receive(self, datagram: Datagram, address: Address, multicast: bool = False) -> None:
        """Take a message of another node that is new and sealed with the cluster's key."""

    def port_of(self, node: int) -> tuple[Address, int] | None:
        """Return where a node that is up gets datagrams, and its TCP port, 0 for none."""

    def is_rival(self, node: int, host: str) -> bool:
        """
        Return whether a second node was lately found at an address that uses the id of a node that is up
        elsewhere. What it says for that node must not be believed.
        """

    def wrong_clock(self, node: int, name: str, skew: float) -> None:
        """Note that the clock of a node is ``skew`` seconds ahead of ours."""

    def right_clock(self, node: int) -> None:
        """Note that the clock of a node is right again."""

    def differing(self, node: int) -> None:
        """Note that a node whose clock differs too much still sends: it may become a member again soon."""

    def replayed(self, node: int) -> None:
        """Note that all datagrams of a node are replayed ones."""

    def copied(self, host: str) -> None:
        """Note that a daemon at ``host`` uses our id and instance: this machine was copied."""

    def look_again(self) -> None:
        """Announce this node to all others now."""

    def slept(self, seconds: float) -> None:
        """Note that the machine slept for so long: what others said is older by that."""

    def renumbered(self, name: str) -> None:
        """Note that node ``name`` dropped our datagrams as replayed, and that they have new numbers now."""
