"""
The address at which the other nodes reach this one: where it is now, and what to say and do about it.

Theory of operation. A socket that is bound to an address outlives the loss of it: nothing arrives, nothing
can be sent, and when the address is back it works again. What does not come back by itself is tied to an
interface: the membership in the multicast group, and the interface that multicast leaves by. So two things
are told apart here: whether the address is there (a change is said, once), and on which interface it is (when
that is another one, or came up again, the group is joined anew). With ``0.0.0.0`` the address is the one that
the default route uses, and is followed. Addresses of loopback are not watched.

Pure: what is so now is given to `OwnAddress.take`.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from gomd.sources.addresses import InterfaceAddress

#: `[peers] address` for all addresses.
ANY = "0.0.0.0"


class Standing(enum.Enum):
    """Whether the other nodes can reach this one, as far as its own interfaces tell."""

    HERE = "an interface that is up has the address"
    DOWN = "the interface that has the address is down"
    GONE = "no interface has the address"


class Outcome(NamedTuple):
    """
    What came of a look.

    :ivar reason: a sentence for people, empty when nothing is to be said.
    :ivar join: the number of the interface at which the multicast group is to be joined, 0 for none.
    :ivar moved: the address is another one than before.
    """

    reason: str = ""
    join: int = 0
    moved: bool = False


class OwnAddress:
    """
    :param setting: `[peers] address`. :param now: the address it comes to now: another one with `ANY` only.
    :ivar address: at which the others reach this node. :ivar standing: whether they can.
    """

    def __init__(self, setting: str, now: str) -> None:
        self.address = now
        self.standing = Standing.HERE
        self._followed = setting == ANY
        self.watched = self._followed or not ipaddress.IPv4Address(setting).is_loopback
        self._seen = False
        #: The number of the interface at which the group was joined, and if it was up; None: at the start.
        self._joined: tuple[int, bool] | None = None

    @property
    def trouble(self) -> str:
        """Why the others cannot reach this node, a clause; empty when they can."""
        if self.standing is Standing.HERE:
            return ""
        if self.standing is Standing.DOWN:
            return f"the interface of its address {self.address} is down"
        return f"its address {self.address} is on no interface of it"

    def take(self, interfaces: Sequence[InterfaceAddress], primary: str) -> Outcome:
        """
        Take what is so now.

        :param primary: the address that the default route uses, 127.0.0.1 when there is none.
        """
        if not self.watched:
            return Outcome()
        if self._followed:
            return self._follow(interfaces, primary)
        place = _best(interfaces, self.address)
        if place is None and not self._seen:
            return Outcome()  # the kernel lets it be used all the same, and lists it nowhere
        self._seen = True
        before, self.standing = self.standing, _standing(place)
        reason = "" if self.standing is before else self._said(place, interfaces)
        return Outcome(reason, self._to_join(place))

    def _follow(self, interfaces: Sequence[InterfaceAddress], primary: str) -> Outcome:
        place = None if primary.startswith("127.") else _best(interfaces, primary)
        if place is None:
            before, self.standing = self.standing, Standing.GONE
            self._joined = (0, False)
            reason = "no route leads to other nodes any more: they cannot reach this one"
            return Outcome(reason if before is Standing.HERE else "")
        before, self.standing = self.standing, _standing(place)
        old, self.address = self.address, primary
        join = self._to_join(place)
        if old != primary:
            return Outcome(f"its address is {primary} on {place.name} now, it was {old}", place.number, True)
        return Outcome("" if self.standing is before else self._said(place, interfaces), join)

    def _to_join(self, place: InterfaceAddress | None) -> int:
        before = self._joined
        self._joined = now = (0, False) if place is None else (place.number, place.up)
        return now[0] if now[1] and before is not None and now != before else 0

    def _said(self, place: InterfaceAddress | None, interfaces: Sequence[InterfaceAddress]) -> str:
        if self.standing is Standing.HERE:
            assert place is not None
            return f"its address {self.address} is on {place.name}, which is up: others can reach it again"
        if self.standing is Standing.DOWN:
            assert place is not None
            return f"{place.name}, which has its address {self.address}, is down: no other node can reach it"
        others = [
            f"{each.address} on {each.name}" for each in interfaces if not each.address.startswith("127.")
        ]
        has = f" (there is {', '.join(others[:4])})" if others else ""
        return (
            f"its address {self.address} is on no interface any more{has}: no other node can reach it; "
            "give the address back, or set [peers] address to another one and restart gomd"
        )


def _best(interfaces: Sequence[InterfaceAddress], address: str) -> InterfaceAddress | None:
    """Return the place of an address: on an interface that is up, if it is on one."""
    places = [each for each in interfaces if each.address == address]
    return max(places, key=lambda each: each.up, default=None)


def _standing(place: InterfaceAddress | None) -> Standing:
    if place is None:
        return Standing.GONE
    return Standing.HERE if place.up else Standing.DOWN
