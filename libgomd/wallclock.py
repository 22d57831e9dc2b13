"""
The wall clock. This is the only module that reads it.

The wall clock is changed while programs run, by people, NTP or a hypervisor. It is therefore only used for
time stamps that people and other nodes read. All durations, ages and timeouts use a monotonic clock. Classes
that make time stamps take a `Wall` as a constructor argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: A function that returns seconds since the epoch.
Wall = Callable[[], float]


def wall_clock() -> float:
    """Return the time of day, in seconds since the epoch."""
    return time.time()
