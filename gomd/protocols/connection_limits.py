"""The places for connections of the telnet line: none is kept from the others by one who opens many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gomd.verbs.quotas import Group, group_of, holder_of
from libgomd.model import Caller, Role

if TYPE_CHECKING:
    from gomd.protocols.telnet import TelnetLine

_OTHER: Final = {Group.READERS: Group.USERS, Group.USERS: Group.READERS}


class ConnectionLimits:
    """
    Who has connections. Admins are not counted.

    While there are free places anybody may have them. When there are none, a caller with few connections gets
    the place of one with many: readers and users have half of all places each for certain, and within each
    group no address and no user can keep the others out. Of the caller that has most, the connection that has
    said nothing for longest is ended.

    :ivar made_room: connections ended for others.
    """

    def __init__(self) -> None:
        self.made_room = 0
        self._holders: dict[Group, dict[str, dict[TelnetLine, None]]] = {group: {} for group in _OTHER}
        self._of_line: dict[TelnetLine, tuple[Group, str]] = {}

    def take(self, line: TelnetLine, caller: Caller, most: int) -> bool:
        """
        Give ``line`` a place.

        :param most: places there are. :returns: whether there was one, or one could be made.
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
        """Take the place of ``line`` back; does nothing when it has none."""
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
            group, own = _OTHER[group], -1  # those have more than half: one of theirs goes, whoever has it
        if not self._holders[group]:
            return False
        lines = max(self._holders[group].values(), key=len)
        if len(lines) <= own + 1:
            return False
        # Who has become an admin by a token stays.
        some = [line for line in lines if line.session is None or line.session.caller.role is not Role.ADMIN]
        if not some:
            return False
        longest = min(some, key=lambda line: (line.busy, line.last_line_at))
        self.made_room += 1
        self.leave(longest)
        longest.transport.abortConnection()
        return True
