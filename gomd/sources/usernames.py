"""A cache of user names: looking them up may ask a slow directory server, and names may change."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from libgomd.wire.text import printable

#: Seconds for which a name is cached, and for which it is cached that a user has none.
KNOWN_LIFETIME: Final = 60.0
UNKNOWN_LIFETIME: Final = 10.0
#: Maximum number of cached users. When it is exceeded, the cache is cleared.
MAX_USERS: Final = 4096
#: Seconds that a scan waits for a name.
LOOKUP_TIMEOUT: Final = 0.2
#: Maximum number of look-ups at once. A server that hangs occupies so many threads.
MAX_LOOKUPS: Final = 4


def look_up_user(uid: int) -> str | None:
    """Return the name of a user, None if there is none. Blocks as long as the directory server takes."""
    try:
        return printable(pwd.getpwuid(uid).pw_name)
    except (KeyError, OverflowError):
        return None


class UserNames:
    """
    Names of users; a user without a name is shown by number. Any thread may use it.

    Each look-up runs on its own thread and has a timeout. A directory server that hangs costs a few threads;
    until it answers, its users are shown by their previous names, or by their numbers.

    :param look_up: returns the name of a user, like `look_up_user`. It may block for ever or raise OSError.
    :param timeout: of a look-up, in seconds.
    """

    def __init__(
        self, look_up: Callable[[int], str | None] = look_up_user, timeout: float = LOOKUP_TIMEOUT
    ) -> None:
        self._look_up = look_up
        self._timeout = timeout
        self._names: dict[int, tuple[str | None, float]] = {}
        self._asked: set[int] = set()
        self._came_late = False

    def known(self, uid: int, now: float) -> str | None:
        """Return the cached name of a user, None if it must be looked up. ``now`` is monotonic."""
        found = self._names.get(uid)
        if found is None or now - found[1] >= (UNKNOWN_LIFETIME if found[0] is None else KNOWN_LIFETIME):
            return None
        return str(uid) if found[0] is None else found[0]

    def name(self, uid: int, now: float) -> str:
        """Return the name of a user. Blocks at most for the timeout."""
        known = self.known(uid, now)
        return self._ask(uid, now, self._timeout) if known is None else known

    def refresh(self, now: float) -> bool:
        """
        Look up expired names again, and return whether any name has changed since the last call.

        Names that arrived after their timeout count as changed. Blocks for one timeout at most, plus the
        time of look-ups that are answered.
        """
        changed, self._came_late = self._came_late, False
        timeout = self._timeout
        for uid, (old, _at) in list(self._names.items()):
            if self.known(uid, now) is None:
                changed |= self._ask(uid, now, timeout) != (str(uid) if old is None else old)
                if uid in self._asked:
                    timeout = 0.0
        return changed

    def _ask(self, uid: int, now: float, timeout: float) -> str:
        if uid not in self._asked and len(self._asked) < MAX_LOOKUPS:
            self._asked.add(uid)
            done, given_up = Event(), Event()
            Thread(target=self._find, args=(uid, now, done, given_up), name="user name", daemon=True).start()
            if not done.wait(timeout):
                given_up.set()
                self._came_late |= done.is_set()  # it ended just now
        found = self._names.get(uid)
        return str(uid) if found is None or found[0] is None else found[0]

    def _find(self, uid: int, now: float, done: Event, given_up: Event) -> None:
        """Look up a name, on its own thread, which may block for ever."""
        before = self._names.get(uid)
        try:
            found = (self._look_up(uid), now)
        except OSError:  # the server cannot be reached now; it may be soon
            found = (None, now) if before is None else (before[0], now - KNOWN_LIFETIME + UNKNOWN_LIFETIME)
        if len(self._names) >= MAX_USERS:
            self._names = {}
        self._names[uid] = found
        self._asked.discard(uid)
        done.set()
        if given_up.is_set() and (before is None or before[0] != found[0]):
            self._came_late = True
