"""The network interface of membership: sends one message to some peers, or to all by multicast."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Interface

from libgomd.wire.messages import Message

#: IPv4 or IPv6 address, a link-local one with its zone, and UDP port.
Address = tuple[str, int]


class IPeerTransport(Interface):
    """Seals and sends messages. No call raises or blocks: a message that cannot be sent now is lost."""

    def send(message: Message, addresses: Sequence[Address]) -> None:
        """
        Send one packet to each of ``addresses``. It may be sealed once for all of them, so that a node at two
        of them drops one as a replay.
        """

    def multicast(message: Message, everywhere: bool = True) -> None:
        """
        Send one packet to the multicast group of each family of which this node has an address, from the port
        to which peers answer.

        :param everywhere: False: to that of the first family only, which is IPv4 if this node has an IPv4
            address.
        """

    def renumber() -> None:
        """
        Continue with sequence numbers that were certainly never used.

        A machine that returned to a snapshot has forgotten which numbers it used. Otherwise this is harmless.
        """
