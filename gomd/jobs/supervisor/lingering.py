"""
The timeouts of a supervisor that waits: for a caller after its job has ended, and for the next daemon.

Times are on the monotonic clock. Standard library only.
"""

from __future__ import annotations

#: Seconds after which a job that has ended is forgotten when no caller asks for it.
LINGER_TIMEOUT = 900.0
#: Seconds between two checks, while no daemon is connected, whether one can still connect.
DESERTED_CHECK_INTERVAL = 60.0


class Lingering:
    """
    :param deserted_check: see `DESERTED_CHECK_INTERVAL`.

    :ivar deserted: the job's directory is gone and no daemon is connected, so none ever will be.
    """

    def __init__(self, deserted_check: float = DESERTED_CHECK_INTERVAL) -> None:
        self.deserted = False
        self._deserted_check = deserted_check
        self._check_at: float | None = None
        self._idle_since: float | None = None

    def connected(self) -> None:
        """Note that a daemon is there."""
        self._check_at = None

    def disconnected(self, now: float) -> None:
        """Note that no daemon is there."""
        self._check_at = now + self._deserted_check

    def deadlines(self) -> list[float]:
        """Return when there is something to do."""
        idle_until = None if self._idle_since is None else self._idle_since + LINGER_TIMEOUT
        return [time for time in (idle_until, self._check_at) if time is not None]

    def is_check_due(self, now: float) -> bool:
        """Whether the job's directory has to be looked for now. True once for each check."""
        if self._check_at is None or now < self._check_at:
            return False
        self._check_at = now + self._deserted_check
        return True

    def desert(self) -> None:
        """Note that no daemon can connect any more."""
        self._check_at = None
        self.deserted = True

    def is_over(self, now: float, idle: bool) -> bool:
        """
        Whether nobody is waited for any more.

        :param idle: the job has ended, and no caller is attached.
        """
        if not idle:
            self._idle_since = None
            return False
        if self._idle_since is None:
            self._idle_since = now
        return self.deserted or now >= self._idle_since + LINGER_TIMEOUT
