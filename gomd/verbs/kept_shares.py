"""Divides the memory for answers that wait for their turn among the requests of a group of callers."""

from __future__ import annotations

from typing import Final

from gomd.verbs.context import ISession
from gomd.verbs.quotas import Group, group_of

#: Characters of answers that are kept for one request, and for all requests of each group together.
MAX_KEPT: Final = 64 << 20
MAX_KEPT_OF_ALL: Final = {Group.READERS: 128 << 20, Group.USERS: 256 << 20, Group.ADMINS: 512 << 20}
#: A request may keep so many even if there are very many requests.
MIN_KEPT: Final = 64 << 10


class KeptShare:
    """
    What the requests of one group may keep.

    While all of them together keep no more than ``of_all``, each may keep ``most``; beyond that, each may
    still have its part of half as much, so that those that read slowly do not stop the others.

    :param of_all: characters for all requests, and ``most`` for one.
    :ivar requests: how many there are now. :ivar kept: characters that they keep.
    """

    def __init__(self, of_all: int, most: int = MAX_KEPT) -> None:
        self.requests = self.kept = 0
        self._of_all = of_all
        self._most = most

    @property
    def of_one(self) -> int:
        """How many characters each of them may keep now."""
        if self.kept <= self._of_all:
            return self._most
        return min(self._most, max(MIN_KEPT, self._of_all // (2 * max(1, self.requests))))


class KeptShares:
    """The share of each group."""

    def __init__(self) -> None:
        self._shares = {group: KeptShare(of_all) for group, of_all in MAX_KEPT_OF_ALL.items()}

    def of(self, session: ISession) -> KeptShare:
        """Return that for the caller of a session."""
        return self._shares[group_of(session.caller)]
