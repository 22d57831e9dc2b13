"""One stream of output of a job, at its supervisor: the pipe, what is kept, how far it was sent."""

from __future__ import annotations

import os

from gomd.jobs.supervisor.backlog import Backlog
from libgomd.wire import frames


class OutputStream:
    """One stream of output: its end of the pipe, what of it is not yet acknowledged, how far it was sent."""

    def __init__(self, kind: int, backlog: Backlog) -> None:
        self.kind = kind
        self.backlog = backlog
        self.descriptor = -1
        self.sent = 0
        self.acknowledged = 0

    def to_send(self) -> bytes:
        """Return what may be sent now."""
        room = self.acknowledged + frames.WINDOW - self.sent
        return self.backlog.read(self.sent, min(room, frames.CHUNK)) if room > 0 else b""

    def attach(self, position: int) -> int:
        """Go on from ``position``, or from the oldest that is kept; return from where."""
        self.sent = self.acknowledged = min(max(position, self.backlog.base), self.backlog.end)
        self.backlog.acknowledge(self.sent)
        return self.sent

    def is_overtaken(self) -> bool:
        """Whether the oldest that is kept is newer than what was sent: the reader was too slow."""
        return self.sent < self.backlog.base

    def complete(self) -> bool:
        """Whether all of it was sent."""
        return self.descriptor < 0 and self.sent >= self.backlog.end

    def close(self) -> None:
        """Close the pipe."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
