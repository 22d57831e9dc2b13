"""Interface to what a directory server and file systems tell of the users of this node."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from zope.interface import Interface


class UserHere(NamedTuple):
    """
    A user of this node. :ivar directories: home and working directories; none of a user without jobs.
    """

    name: str
    uid: int
    has_jobs: bool
    directories: tuple[str, ...]


class UserAccount(NamedTuple):
    """
    An account of this node.

    :ivar groups: number and name of each group, ascending; None where they were not asked for.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[tuple[int, str], ...] | None


class ISurvey(Interface):
    """
    Who the users of this node are, and which of their directories are there.

    Every method blocks, for some seconds at the most, and may raise `TimedOut`: there is no answer;
    `NotPossible`: an earlier question still hangs; `InternalError`: it failed. No two calls may run at once.
    """

    def users(jobs: Sequence[tuple[int, int]], uids: Collection[int]) -> Sequence[UserHere]:
        """
        Return the users with jobs, and those people of ``uids`` that have an account.

        :param jobs: uid and first process id of each job.
        """

    def accounts(names: Sequence[str], everybody: bool) -> Sequence[UserAccount]:
        """
        Return the accounts with these names, with their groups; ordered by name.

        :param everybody: whether to return those of all people as well, without groups.
        """

    def directories(asked: Sequence[tuple[str, str]]) -> Sequence[str | None]:
        """
        Return whether each directory is ``there``, ``missing`` or ``unknown``, as its user sees it; None for
        one that does not answer.

        :param asked: user name and path of each.
        """
