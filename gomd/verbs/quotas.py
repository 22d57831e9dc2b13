"""
How many of something callers may hold at once: each group has its own places, each caller a share of them.

So nobody uses up what others need: readers over tcp leave users and admins their places, and one address or
one user leaves some to the others of the group.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import AsyncGenerator, Callable, Mapping
from enum import Enum
from ipaddress import IPv6Address, IPv6Network
from types import TracebackType
from typing import Any, Final, TypeVar

from libgomd.errors import TooMany
from libgomd.model import Caller, Role

T = TypeVar("T")


class Group(Enum):
    """Whose places are apart from the others'."""

    READERS = "readers"
    USERS = "users"
    ADMINS = "admins"


_GROUPS: Final = {Role.USER: Group.USERS, Role.ADMIN: Group.ADMINS}


def group_of(caller: Caller) -> Group:
    """Return the group of a caller."""
    return _GROUPS.get(caller.role, Group.READERS)


def holder_of(caller: Caller) -> str:
    """Return who holds what a caller takes: a user, else an address, else another node."""
    if caller.uid is not None:
        return f"uid {caller.uid}"
    return caller.user or address_in(caller.via)


def address_in(via: str) -> str:
    """Return the address in a caller's way in, without its port; of IPv6 the /64, which one caller has."""
    if not via.startswith("tcp "):
        return via
    host = via.removeprefix("tcp ").rpartition(":")[0]
    try:
        return f"tcp {IPv6Network((IPv6Address(host.partition('%')[0]), 64), strict=False)}"
    except ValueError:
        return f"tcp {host}"


def address_of(caller: Caller) -> str:
    """Return where a caller is, without the port of this one connection, and who it is, for the log."""
    place = address_in(caller.via)
    return place if caller.uid is None else f"{place} uid {caller.uid}"


class Quotas:
    """
    :param what: what the places are for, in the plural: ``watches``.
    :param most: places of each group. :param each: of them, those that one caller may have.
    """

    def __init__(self, what: str, most: Mapping[Group, int], each: Mapping[Group, int]) -> None:
        self._what = what
        self._most = most
        self._each = each
        self._held: Counts[tuple[Group, str]] = Counts()
        self._in_all: Counts[Group] = Counts()
        self.refused = 0

    def held(self, group: Group) -> int:
        """Return how many places a group has taken."""
        return self._in_all[group]

    def take(self, caller: Caller) -> Callable[[], None]:
        """
        Take a place for ``caller``.

        :returns: gives it back; a second call does nothing.
        :raises TooMany: its group or the caller itself has as many as may be.
        """
        group = group_of(caller)
        key = (group, holder_of(caller))
        if self._held[key] >= self._each[group]:
            self.refused += 1
            raise TooMany(f"{self._each[group]} {self._what} of yours are under way: end some, or try later")
        if self._in_all[group] >= self._most[group]:
            self.refused += 1
            raise TooMany(f"{self._most[group]} {self._what} of {group.value} are under way: try again later")
        self._held[key] += 1
        self._in_all[group] += 1
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if given_back:
                return
            given_back = True
            self._in_all[group] -= 1
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]

        return give_back


class Held(AsyncGenerator[T, None]):
    """Values of ``source``; a place is given back behind the last one, or when nobody wants more."""

    def __init__(self, source: AsyncGenerator[T, None], give_back: Callable[[], None]) -> None:
        self._source = source
        self._give_back = give_back

    async def asend(self, value: Any) -> T:
        """Return the next value."""
        try:
            return await self._source.asend(value)
        except BaseException:
            self._give_back()
            raise

    async def athrow(
        self, kind: Any, error: BaseException | object = None, trace: TracebackType | None = None
    ) -> T:
        """Raise an error inside the source."""
        try:
            return await self._source.athrow(kind)
        except BaseException:
            self._give_back()
            raise

    async def aclose(self) -> None:
        """Close the source."""
        self._give_back()
        await self._source.aclose()

    def __del__(self) -> None:
        self._give_back()  # of what nobody ever began to read
