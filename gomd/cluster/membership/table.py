"""The member table, and the ring that decides which members this node watches."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from gomd.cluster.membership.member import NEVER, Member
from gomd.cluster.membership.settings import WATCHERS_PER_NODE
from gomd.cluster.membership.transport import Address
from libgomd.model import MAX_NODE_ID
from libgomd.wire.addresses import is_ipv6
from libgomd.wire.messages import MemberState

#: Odd factor that spreads neighbouring ids over the ring, so that a rack is not watched by itself alone.
_RING_MULTIPLIER: Final = 40503


def ring_position(node: int) -> int:
    """Return the position of a node in the ring. Each id has another one."""
    return node * _RING_MULTIPLIER & MAX_NODE_ID


class Members:
    """
    All other nodes by id.

    :param capacity: maximum number of nodes.
    :ivar up_count: number of nodes that are up.
    :ivar evicted: number of nodes that were removed to make room for others.
    """

    def __init__(self, own_id: int, capacity: int) -> None:
        self._own_position = ring_position(own_id)
        self._capacity = capacity
        self._by_id: dict[int, Member] = {}
        self._ring: list[Member] | None = None
        self._watched: list[Member] = []
        self._addresses: set[Address] = set()
        self._ids_by_name: dict[str, set[int]] = {}
        self.up_count = self.evicted = 0
        self.get = self._by_id.get

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._by_id.values())

    def add(self, member: Member) -> bool:
        """
        Add a member that is not up.

        When the table is full, it replaces the one that left first; False if none did.
        """
        if len(self._by_id) >= self._capacity:
            gone = [each for each in self._by_id.values() if each.state is not MemberState.UP]
            if not gone:
                return False
            self.remove(min(gone, key=lambda each: each.gone_since))
            self.evicted += 1
        self._by_id[member.id] = member
        return True

    def remove(self, member: Member) -> None:
        """Remove a member that is not up."""
        del self._by_id[member.id]

    def set_state(self, member: Member, state: MemberState) -> None:
        """Change the state of a member to UP, DOWN or LEFT."""
        self._ring = None
        if member.state is MemberState.UP:
            self.up_count -= 1
            self._ids_by_name[member.listed_name].discard(member.id)
        if state is MemberState.UP:
            self.up_count += 1
            member.listed_name = member.name
            self._ids_by_name.setdefault(member.name, set()).add(member.id)
        elif not self._ids_by_name.get(member.listed_name, True):
            del self._ids_by_name[member.listed_name]
        member.state = state

    def set_address(self, member: Member, address: Address) -> None:
        """Change the address of a member. A second one of the same family is forgotten."""
        self._ring = None
        member.address = address
        if member.second is not None and is_ipv6(member.second[0]) == is_ipv6(address[0]):
            member.second = None

    def set_second(self, member: Member, second: Address | None, now: float = NEVER) -> None:
        """Change the place of a member in the other family, from which it was heard at ``now``."""
        self._ring = None
        member.second, member.second_at = second, now

    def swap_addresses(self, member: Member, now: float) -> None:
        """
        Use the second place of a member, from which it was just heard. The other one has to be heard anew.
        """
        assert member.second is not None
        self._ring = None
        member.address, member.second = member.second, member.address
        member.second_at, member.heard_at = NEVER, now

    def id_of_namesake(self, name: str) -> int:
        """Return the id of a member that is up and has this name, 0 if there is none."""
        return min(self._ids_by_name.get(name, ()), default=0)

    @property
    def up(self) -> list[Member]:
        """The members that are up, in the order of the ring. The caller must not change the list."""
        if self._ring is None:
            self._ring = sorted(
                (each for each in self._by_id.values() if each.state is MemberState.UP),
                key=lambda each: ring_position(each.id),
            )
            self._addresses = {place for each in self._ring for place in each.places}
            first = bisect_right([ring_position(each.id) for each in self._ring], self._own_position)
            self._watched = (self._ring[first:] + self._ring[:first])[:WATCHERS_PER_NODE]
        return self._ring

    @property
    def watched(self) -> list[Member]:
        """The members that this node watches: the next ones in the ring that are up."""
        return self._watched if self.up else []

    @property
    def addresses(self) -> set[Address]:
        """The addresses of the members that are up."""
        return self._addresses if self.up else set()
