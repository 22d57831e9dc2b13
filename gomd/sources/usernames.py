"""Names of users, kept for a while: behind the C library may be a directory server, and names change."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from libgomd.wire.text import printable

#: Seconds for which a name is kept, and for which it is kept that a user has none.
KEPT: Final = 60.0
NONE_KEPT: Final = 10.0
#: Users whose names are kept; with more all of them are looked up anew.
MOST: Final = 4096
#: Seconds that a scan waits for a name.
PATIENCE: Final = 0.2
#: Look-ups that may be under way at once. A server that hangs keeps as many threads.
MAX_ASKED: Final = 4


def look_up_user(uid: int) -> str | None:
    """Return the name of a user, None when it has none. Blocks as long as the directory takes."""
    try:
        return printable(pwd.getpwuid(uid).pw_name)
    except (KeyError, OverflowError):
        return None


class UserNames:
    """
    A user without a name is called by the number. Any thread may call this.

    Each look-up has a thread of its own and is waited for only so long: a directory server that hangs costs
    a few threads, and its users are called by the names they had, or by their numbers, until it answers.

    :param look_up: gives the name of a user, as `look_up_user`; may block for ever, or raise OSError.
    :param patience: seconds to wait for one.
    """

    def __init__(
        self, look_up: Callable[[int], str | None] = look_up_user, patience: float = PATIENCE
    ) -> None:
        self._look_up = look_up
        self._patience = patience
        self._names: dict[int, tuple[str | None, float]] = {}
        self._asked: set[int] = set()
        self._came_late = False

    def known(self, uid: int, now: float) -> str | None:
        """Return what a user is called if that was looked up lately. ``now``: of a clock never set."""
        found = self._names.get(uid)
        if found is None or now - found[1] >= (NONE_KEPT if found[0] is None else KEPT):
            return None
        return str(uid) if found[0] is None else found[0]

    def name(self, uid: int, now: float) -> str:
        """Return what a user is called. Blocks for the patience at the most."""
        known = self.known(uid, now)
        return self._ask(uid, now, self._patience) if known is None else known

    def refresh(self, now: float) -> bool:
        """
        Look up again what was looked up long ago; return whether any name has changed since the last call.

        Names that came too late for whoever had asked count as changed. Blocks for the patience at the most,
        and as long as look-ups that are answered take.
        """
        changed, self._came_late = self._came_late, False
        patience = self._patience
        for uid, (old, _at) in list(self._names.items()):
            if self.known(uid, now) is None:
                changed |= self._ask(uid, now, patience) != (str(uid) if old is None else old)
                if uid in self._asked:
                    patience = 0.0
        return changed

    def _ask(self, uid: int, now: float, patience: float) -> str:
        if uid not in self._asked and len(self._asked) < MAX_ASKED:
            self._asked.add(uid)
            done, given_up = Event(), Event()
            Thread(target=self._find, args=(uid, now, done, given_up), name="user name", daemon=True).start()
            if not done.wait(patience):
                given_up.set()
                self._came_late |= done.is_set()  # at this very moment
        found = self._names.get(uid)
        return str(uid) if found is None or found[0] is None else found[0]

    def _find(self, uid: int, now: float, done: Event, given_up: Event) -> None:
        """Look up a name. On a thread of its own; it may stay there for ever."""
        before = self._names.get(uid)
        try:
            found = (self._look_up(uid), now)
        except OSError:  # the server is not there: it may be soon
            found = (None, now) if before is None else (before[0], now - KEPT + NONE_KEPT)
        if len(self._names) >= MOST:
            self._names = {}
        self._names[uid] = found
        self._asked.discard(uid)
        done.set()
        if given_up.is_set() and (before is None or before[0] != found[0]):
            self._came_late = True
