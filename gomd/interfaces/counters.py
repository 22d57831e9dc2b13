"""The interface of every part of the daemon that counts something."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from libgomd.model import Counter


class Counting(Protocol):
    """A part that counts. Every interface here with a method ``counters`` has this shape."""

    def counters(self) -> Iterable[Counter]:
        """Return the counters of this part, for `stats` and the metrics. Does not block."""
