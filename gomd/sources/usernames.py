"""Names of users, kept for a while: behind the C library may stand a directory server, and names change."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from typing import Final

#: Seconds for which a name is kept, and for which it is kept that a user has none.
KEPT: Final = 60.0
NONE_KEPT: Final = 10.0
#: Users whose names are kept; with more all of them are looked up anew.
MOST: Final = 4096


def look_up_user(uid: int) -> str | None:
    """Return the name of a user, None when it has none. Blocks as long as the directory takes."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return None


class UserNames:
    """
    A user without a name is called by the number. Any thread may call this.

    :param look_up: gives the name of a user, as `look_up_user`.
    """

    def __init__(self, look_up: Callable[[int], str | None] = look_up_user) -> None:
        self._look_up = look_up
        self._names: dict[int, tuple[str | None, float]] = {}

    def known(self, uid: int, now: float) -> str | None:
        """Return what a user is called if that was looked up lately. ``now``: of a clock never set."""
        found = self._names.get(uid)
        if found is None or now - found[1] >= (NONE_KEPT if found[0] is None else KEPT):
            return None
        return str(uid) if found[0] is None else found[0]

    def name(self, uid: int, now: float) -> str:
        """Return what a user is called. Blocks for as long as a look-up takes."""
        known = self.known(uid, now)
        if known is not None:
            return known
        name = self._look_up(uid)
        if len(self._names) >= MOST:
            self._names = {}
        self._names[uid] = (name, now)
        return str(uid) if name is None else name

    def refresh(self, now: float) -> bool:
        """Look up again what was looked up long ago; return whether any name has changed. Blocks."""
        changed = False
        for uid, (old, _at) in list(self._names.items()):
            if self.known(uid, now) is None:
                changed |= self.name(uid, now) != (str(uid) if old is None else old)
        return changed
