"""All other nodes, and who of them is this node's to watch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from gomd.cluster.membership.member import Member
from gomd.cluster.membership.settings import WATCHERS
from gomd.cluster.membership.transport import Address
from libgomd.model import MAX_NODE_ID
from libgomd.wire.messages import MemberState

#: Spreads neighbouring ids over the ring, so that a rack that dies is not watched by itself alone.
_SPREAD: Final = 40503


def place(node: int) -> int:
    """Return the place of a node in the ring of watchers: another one for each id."""
    return node * _SPREAD & MAX_NODE_ID


class Members:
    """
    The other nodes by id.

    :param most: how many there may be. :ivar count: how many are up.
    :ivar evicted: how many had to make place for others.
    """

    def __init__(self, own_id: int, most: int) -> None:
        self._own_place = place(own_id)
        self._most = most
        self._by_id: dict[int, Member] = {}
        self._ring: list[Member] | None = None
        self._watched: list[Member] = []
        self._addresses: set[Address] = set()
        self._called: dict[str, set[int]] = {}
        self.count = self.evicted = 0
        self.get = self._by_id.get

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._by_id.values())

    def add(self, member: Member) -> bool:
        """Add one that is not up, if need be in place of the one longest gone. False when all are up."""
        if len(self._by_id) >= self._most:
            gone = [each for each in self._by_id.values() if each.state is not MemberState.UP]
            if not gone:
                return False
            self.remove(min(gone, key=lambda each: each.gone))
            self.evicted += 1
        self._by_id[member.id] = member
        return True

    def remove(self, member: Member) -> None:
        """Forget it, which is not up."""
        del self._by_id[member.id]

    def turn(self, member: Member, state: MemberState) -> None:
        """Make a member UP, DOWN or LEFT."""
        self._ring = None
        if member.state is MemberState.UP:
            self.count -= 1
            self._called[member.listed_name].discard(member.id)
        if state is MemberState.UP:
            self.count += 1
            member.listed_name = member.name
            self._called.setdefault(member.name, set()).add(member.id)
        elif not self._called.get(member.listed_name, True):
            del self._called[member.listed_name]
        member.state = state

    def move(self, member: Member, address: Address) -> None:
        """Reach a member at another address from now on."""
        self._ring = None
        member.address = address

    def namesake(self, name: str) -> int:
        """Return the id of a member that is up and has this name, 0 when there is none."""
        return min(self._called.get(name, ()), default=0)

    @property
    def up(self) -> list[Member]:
        """Those that are up, in the order of the ring. Not to be changed."""
        if self._ring is None:
            self._ring = sorted(
                (each for each in self._by_id.values() if each.state is MemberState.UP),
                key=lambda each: place(each.id),
            )
            self._addresses = {each.address for each in self._ring}
            first = bisect_right([place(each.id) for each in self._ring], self._own_place)
            self._watched = (self._ring[first:] + self._ring[:first])[:WATCHERS]
        return self._ring

    @property
    def watched(self) -> list[Member]:
        """Those that this node watches: the next in the ring that are up."""
        return self._watched if self.up else []

    @property
    def addresses(self) -> set[Address]:
        """Where those that are up are reached."""
        return self._addresses if self.up else set()
