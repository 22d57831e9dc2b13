"""What membership needs of a network: to send one message to some peers, or to all at once."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Interface

from libgomd.wire.messages import Message

#: IPv4 address and UDP port.
Address = tuple[str, int]


class IPeerTransport(Interface):
    """Seals and sends. Neither call raises or blocks: what cannot be sent now is lost, as on a network."""

    def send(message: Message, addresses: Sequence[Address]) -> None:
        """Send one packet to each of ``addresses``; it may be sealed once for all of them."""

    def multicast(message: Message) -> None:
        """Send one packet to the multicast group, from the port that peers answer to."""

    def renumber() -> None:
        """
        Go on with numbers that were certainly never used: some of what was sent may be forgotten here.

        Harmless when nothing was; others see no more than higher numbers.
        """
