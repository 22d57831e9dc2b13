"""
Quotas: how many requests of one kind a group of callers, and one caller, may have under way at once.

They keep callers from using up what others need. Readers over tcp cannot take what users and admins need, and
one address or user cannot take everything of its group.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import AsyncGenerator, Callable, Mapping
from enum import Enum
from types import TracebackType
from typing import Any, Final, TypeVar

from libgomd.errors import TooMany
from libgomd.model import Caller, Role
from libgomd.wire.addresses import network_of

T = TypeVar("T")


class Group(Enum):
    """Callers that share a quota."""

    READERS = "readers"
    USERS = "users"
    ADMINS = "admins"


_GROUPS: Final = {Role.USER: Group.USERS, Role.ADMIN: Group.ADMINS}


def group_of(caller: Caller) -> Group:
    """Return the group of a caller."""
    return _GROUPS.get(caller.role, Group.READERS)


def holder_of(caller: Caller) -> str:
    """Return whose quota a caller counts for: a user, else an address, else another node."""
    if caller.uid is not None:
        return f"uid {caller.uid}"
    return caller.user or address_in(caller.via)


def address_in(via: str) -> str:
    """Return the address in ``via``, without its port; for IPv6 the /64, because one caller has all of it."""
    if not via.startswith("tcp "):
        return via
    return f"tcp {network_of(via.removeprefix('tcp ').rpartition(':')[0])}"


def address_of(caller: Caller) -> str:
    """Return the address and the uid of a caller for the log, without the port of its connection."""
    place = address_in(caller.via)
    return place if caller.uid is None else f"{place} uid {caller.uid}"


class Quotas:
    """
    :param what: what is counted, in the plural: ``watches``.
    :param most: for each group. :param each: for one caller of each group.
    """

    def __init__(self, what: str, most: Mapping[Group, int], each: Mapping[Group, int]) -> None:
        self._what = what
        self._most = most
        self._each = each
        self._used: Counts[tuple[Group, str]] = Counts()
        self._used_by_group: Counts[Group] = Counts()
        self.refused = 0

    @property
    def total(self) -> int:
        """How many are under way."""
        return sum(self._used_by_group.values())

    def used(self, group: Group) -> int:
        """Return how many a group has under way."""
        return self._used_by_group[group]

    def take(self, caller: Caller) -> Callable[[], None]:
        """
        Count one for ``caller``.

        :returns: a function to call at the end; a second call does nothing.
        :raises TooMany: its group or the caller itself has as many as allowed.
        """
        group = group_of(caller)
        key = (group, holder_of(caller))
        if self._used[key] >= self._each[group]:
            self.refused += 1
            raise TooMany(f"{self._each[group]} {self._what} of yours are under way: end some, or try later")
        if self._used_by_group[group] >= self._most[group]:
            self.refused += 1
            raise TooMany(f"{self._most[group]} {self._what} of {group.value} are under way: try again later")
        self._used[key] += 1
        self._used_by_group[group] += 1
        released = False

        def release() -> None:
            nonlocal released
            if released:
                return
            released = True
            self._used_by_group[group] -= 1
            self._used[key] -= 1
            if not self._used[key]:
                del self._used[key]

        return release


class ReleasingRows(AsyncGenerator[T, None]):
    """Yields from ``source``; calls ``release`` at its end, or when it is closed."""

    def __init__(self, source: AsyncGenerator[T, None], release: Callable[[], None]) -> None:
        self._source = source
        self._release = release

    async def asend(self, value: Any) -> T:
        """Return the next value."""
        try:
            return await self._source.asend(value)
        except BaseException:
            self._release()
            raise

    async def athrow(
        self, kind: Any, error: BaseException | object = None, trace: TracebackType | None = None
    ) -> T:
        """Raise an error in the source."""
        try:
            return await self._source.athrow(kind)
        except BaseException:
            self._release()
            raise

    async def aclose(self) -> None:
        """Close the source."""
        self._release()
        await self._source.aclose()

    def __del__(self) -> None:
        self._release()  # if it was never read from
