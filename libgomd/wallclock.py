"""
The wall clock, and the only place that reads it.

It is set back and on while programs run (by a person, by NTP, by a hypervisor), so it is good for stamps
that people and other nodes read, and for nothing else: every duration, age and timeout is measured on a
monotonic clock. Whoever makes stamps takes a `Wall` as a constructor argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: Gives seconds since the epoch.
Wall = Callable[[], float]


def wall_clock() -> float:
    """Return the time of day, in seconds since the epoch."""
    return time.time()
