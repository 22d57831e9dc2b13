"""Limits the connections of the telnet line, so that no caller can use up those of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gomd.verbs.quotas import Group, group_of, holder_of
from libgomd.model import Caller, Role

if TYPE_CHECKING:
    from gomd.protocols.telnet import TelnetLine

_OTHER_GROUP: Final = {Group.READERS: Group.USERS, Group.USERS: Group.READERS}


class ConnectionLimits:
    """
    Counts the connections of each caller. Those of admins do not count.

    While there are free places, any caller may have them. When there are none, a caller with few connections
    displaces a connection of the caller with the most. Readers and users can always have half of all places
    each, and within a group no address or user can shut out the others. The connection that ends is the one
    that has been idle for longest.

    :ivar made_room: how many connections were ended for others.
    """

    def __init__(self) -> None:
        self.made_room = 0
        self._holders: dict[Group, dict[str, dict[TelnetLine, None]]] = {group: {} for group in _OTHER_GROUP}
        self._of_line: dict[TelnetLine, tuple[Group, str]] = {}

    def take(self, line: TelnetLine, caller: Caller, most: int) -> bool:
        """
        Give ``line`` a place.

        :param most: how many places there are. :returns: False if none was free and none could be freed.
        """
        group, holder = group_of(caller), holder_of(caller)
        if group is Group.ADMINS:
            return True
        while len(self._of_line) >= most:
            if not self._make_room(group, holder, most):
                return False
        self._holders[group].setdefault(holder, {})[line] = None
        self._of_line[line] = (group, holder)
        return True

    def leave(self, line: TelnetLine) -> None:
        """Free the place of ``line``, if it has one."""
        group, holder = self._of_line.pop(line, (Group.ADMINS, ""))
        if group is Group.ADMINS:
            return
        lines = self._holders[group][holder]
        del lines[line]
        if not lines:
            del self._holders[group][holder]

    def _make_room(self, group: Group, holder: str, most: int) -> bool:
        of_group = sum(map(len, self._holders[group].values()))
        own = len(self._holders[group].get(holder, ()))
        if of_group < max(1, most // 2):
            group, own = (
                _OTHER_GROUP[group],
                -1,
            )  # the other group has more than half
        if not self._holders[group]:
            return False
        lines = max(self._holders[group].values(), key=len)
        if len(lines) <= own + 1:
            return False
        # A caller that became an admin by a token keeps its connection.
        some = [line for line in lines if line.session is None or line.session.caller.role is not Role.ADMIN]
        if not some:
            return False
        longest = min(some, key=lambda line: (line.busy, line.last_line_at))
        self.made_room += 1
        self.leave(longest)
        longest.transport.abortConnection()
        return True
