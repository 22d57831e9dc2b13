"""
The address at which the other nodes reach this one: whether it exists, and on which interface.

Theory of operation. A socket that is bound to an address survives the loss of the address: it receives and
sends nothing, and works again when the address is back. What does not come back by itself belongs to an
interface: the membership in the multicast group, and the interface that multicast is sent by. Two things are
therefore watched: whether the address exists (a change is reported once), and on which interface it is (if
that is another one, or has come up again, the group is joined again). With ``0.0.0.0`` or ``::`` the address
is that of the default route, and it is followed. Loopback addresses are not watched. A node with an IPv4 and
an IPv6 address has two of these.

This module does no I/O: `OwnAddress.take` gets the interfaces.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from gomd.sources.addresses import InterfaceAddress
from libgomd.wire.addresses import is_ipv6, is_link_local, is_loopback, is_unspecified, without_zone


class Reachability(enum.Enum):
    """Whether the other nodes can reach this one, as far as its own interfaces show."""

    HERE = "an interface that is up has the address"
    DOWN = "the interface that has the address is down"
    GONE = "no interface has the address"


class Outcome(NamedTuple):
    """
    The result of a check.

    :ivar reason: a sentence to report, empty for none.
    :ivar join: the number of the interface on which the multicast group has to be joined, 0 for none.
    :ivar moved: whether the address has changed.
    """

    reason: str = ""
    join: int = 0
    moved: bool = False


class OwnAddress:
    """
    :param setting: one address of `[peers] address`. :param now: the address it means now.
    :ivar address: at which the other nodes reach this one. :ivar reachability: whether they can.
    """

    def __init__(self, setting: str, now: str) -> None:
        self.address = now
        self.reachability = Reachability.HERE
        self._followed = is_unspecified(setting)
        self.watched = self._followed or not is_loopback(setting)
        self._seen = False
        #: The interface on which the group was joined, and whether it was up; None before the first check.
        self._joined: tuple[int, bool] | None = None

    @property
    def trouble(self) -> str:
        """Why the other nodes cannot reach this one, a clause; empty when they can."""
        if self.reachability is Reachability.HERE:
            return ""
        if self.reachability is Reachability.DOWN:
            return f"the interface of its address {self.address} is down"
        return f"its address {self.address} is on no interface"

    def take(self, interfaces: Sequence[InterfaceAddress], primary: str) -> Outcome:
        """
        Take the interfaces as they are now.

        :param primary: the address that the default route uses, a loopback address if there is none.
        """
        if not self.watched:
            return Outcome()
        if self._followed:
            return self._follow(interfaces, primary)
        place = _best(interfaces, self.address)
        if place is None and not self._seen:
            return Outcome()  # an address that is on no interface from the start: the kernel allows it
        self._seen = True
        before, self.reachability = self.reachability, _reachability(place)
        reason = "" if self.reachability is before else self._sentence(place, interfaces)
        return Outcome(reason, self._to_join(place))

    def _follow(self, interfaces: Sequence[InterfaceAddress], primary: str) -> Outcome:
        place = None if is_loopback(primary) else _best(interfaces, primary)
        if place is None:
            before, self.reachability = self.reachability, Reachability.GONE
            self._joined = (0, False)
            reason = "no route leads to other nodes any more: they cannot reach this one"
            return Outcome(reason if before is Reachability.HERE else "")
        before, self.reachability = self.reachability, _reachability(place)
        old, self.address = self.address, primary
        join = self._to_join(place)
        if old != primary:
            return Outcome(f"its address is {primary} on {place.name} now, it was {old}", place.number, True)
        return Outcome("" if self.reachability is before else self._sentence(place, interfaces), join)

    def _to_join(self, place: InterfaceAddress | None) -> int:
        before = self._joined
        self._joined = now = (0, False) if place is None else (place.number, place.up)
        return now[0] if now[1] and before is not None and now != before else 0

    def _sentence(self, place: InterfaceAddress | None, interfaces: Sequence[InterfaceAddress]) -> str:
        if self.reachability is Reachability.HERE:
            assert place is not None
            return f"its address {self.address} is on {place.name}, which is up: others can reach it again"
        if self.reachability is Reachability.DOWN:
            assert place is not None
            return f"{place.name}, which has its address {self.address}, is down: no other node can reach it"
        usable = [
            each for each in interfaces
            if is_ipv6(each.address) == is_ipv6(self.address) and not is_loopback(each.address)
        ]  # fmt: skip
        usable.sort(key=lambda each: is_link_local(each.address))  # those that could take its place first
        others = [f"{without_zone(each.address)} on {each.name}" for each in usable]
        has = f" (there is {', '.join(others[:4])})" if others else ""
        return (
            f"its address {self.address} is on no interface any more{has}: no other node can reach it; "
            "give the address back, or set [peers] address to another one, or to "
            f"{'::' if is_ipv6(self.address) else '0.0.0.0'} to have it followed, and restart gomd"
        )


def trouble_of(own: Sequence[OwnAddress]) -> str:
    """Return why other nodes cannot reach this one at one or any of its addresses, a clause; empty for
    nothing."""
    troubled = [each for each in own if each.trouble]
    if len(troubled) == len(own):
        return " and ".join(each.trouble for each in troubled)
    return "".join(f"by {'IPv6' if is_ipv6(each.address) else 'IPv4'}, {each.trouble}" for each in troubled)


def _best(interfaces: Sequence[InterfaceAddress], address: str) -> InterfaceAddress | None:
    """Return the interface that has an address; one that is up, if there is any."""
    places = [each for each in interfaces if each.address == address]
    return max(places, key=lambda each: each.up, default=None)


def _reachability(place: InterfaceAddress | None) -> Reachability:
    if place is None:
        return Reachability.GONE
    return Reachability.HERE if place.up else Reachability.DOWN
