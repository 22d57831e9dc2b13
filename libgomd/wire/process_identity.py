"""The name of a process in the whole cluster, ``HOME-PID-STARTED``: built and read here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from libgomd.errors import MalformedRequest

#: The largest node id, and the largest process id: the numbers above those that a kernel gives stand for
#: jobs that never were a process at home.
_MAX_HOME: Final = 65535
_MAX_PID: Final = 2**31 - 1
_TEXT: Final = re.compile(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,9})-(0|-?[1-9][0-9]{0,19})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class ProcessIdentity:
    """
    The identity of a process. ``str`` of it is what `ps` shows and requests take: ``3-4711-98765``.

    :ivar home: the id of the node where it was started. :ivar pid: its process id there.
    :ivar started: when it started there, in clock ticks after the boot; 0 when it never was a process there.
    """

    home: int
    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.home}-{self.pid}-{self.started}"

    @classmethod
    def parse(cls, text: str) -> ProcessIdentity:
        """Return the identity that ``text`` is. :raises MalformedRequest: for any other text."""
        found = _TEXT.fullmatch(text)
        if found is None or int(found[1]) > _MAX_HOME or int(found[2]) > _MAX_PID:
            raise MalformedRequest(
                f"a process is named by its PID or its identity HOME-PID-STARTED as `ps` shows it, "
                f"such as 3-4711-98765, not {text[:40]}"
            )
        return cls(int(found[1]), int(found[2]), int(found[3]))

    @classmethod
    def find(cls, text: str) -> ProcessIdentity | None:
        """Return the identity that ``text`` is, None for any other text."""
        try:
            return cls.parse(text)
        except MalformedRequest:
            return None
