"""
Decides whether this node accepts one more job of a user.

One user may occupy only a share of all places, and the last places are reserved for admins. So a user who
fills their share locks out neither other users nor the admins who have to clear the node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from libgomd.errors import TooMany
from libgomd.model import Caller, Role


class Owned(Protocol):
    """A job that occupies a place."""

    @property
    def uid(self) -> int:
        """The user id of its owner."""


class Admission:
    """
    :param own_uid: the user as which this daemon runs; the share does not limit them.
    :param most: maximum number of jobs at once, those of this home and guests together.
    :param most_per_user: maximum number of jobs of one user; 0 means half of ``most``.
    :param reserve: places that only admins may use, in percent of ``most``.
    """

    def __init__(self, own_uid: int, most: int, most_per_user: int = 0, reserve: float = 0.0) -> None:
        self._own_uid = own_uid
        self.most = most
        self.share = min(most, most_per_user or (most + 1) // 2)
        self.reserve = min(most - 1, -int(-most * reserve // 100))

    def why_not(self, under_way: Iterable[Owned], waiting: Iterable[int], uid: int, admin: bool) -> str:
        """
        Return why there is no place for a job of user ``uid``, as a clause; empty when there is one.

        :param under_way: the jobs that run. :param waiting: the user ids of the jobs that wait to be started.
        """
        of = Counter(each.uid for each in under_way)
        of.update(waiting)
        total = of.total()
        if total >= self.most:
            return f"{self.most} jobs are under way on this node already"
        if admin or uid == 0 or uid == self._own_uid:
            return ""
        if of[uid] >= self.share:
            return (
                f"{of[uid]} jobs of yours are under way on this node already, "
                f"and {self.share} are a user's share"
            )
        if total >= self.most - self.reserve:
            return (
                f"{total} jobs are under way on this node already, "
                f"and the last {self.reserve} places are kept for admins"
            )
        return ""

    def check(self, under_way: Iterable[Owned], waiting: Iterable[int], caller: Caller) -> None:
        """Check whether ``caller`` may start one more job. :raises TooMany: there is no place."""
        uid = -1 if caller.uid is None else caller.uid
        if why := self.why_not(under_way, waiting, uid, caller.role >= Role.ADMIN):
            raise TooMany(f"{why}: try later")
