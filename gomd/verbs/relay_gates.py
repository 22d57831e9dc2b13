"""Limits how many nodes the requests of a group of callers ask at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import DeferredSemaphore

from gomd.verbs.branches import MAX_DEPTH
from gomd.verbs.context import ISession
from gomd.verbs.quotas import Group, group_of

#: Largest number of nodes that all such requests of a group ask at once.
MAX_NODES_ASKED: Final = {Group.READERS: 128, Group.USERS: 256, Group.ADMINS: 512}


class Gates:
    """Limit how many nodes the requests of each group ask at once, by what is left of their depth."""

    def __init__(self) -> None:
        self._gates = {
            group: [DeferredSemaphore(most) for _ in range(MAX_DEPTH + 1)]
            for group, most in MAX_NODES_ASKED.items()
        }

    def of(self, session: ISession) -> Sequence[DeferredSemaphore]:
        """Return those for the caller of a session."""
        return self._gates[group_of(session.caller)]
