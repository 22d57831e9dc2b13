"""Clocks that cannot be set: for the reactor, which uses the wall clock by default, and since boot."""

from __future__ import annotations

import time
from typing import Any


def use_monotonic_time(reactor: Any) -> None:
    """
    Let ``reactor`` measure time with CLOCK_MONOTONIC from now on.

    Its `callLater`, and everything that uses its `seconds` (`LoopingCall`, `TimerService`, timeouts of
    connections), then wait for the right time even if the wall clock is set. Calls that twistd has already
    scheduled keep the time that is left to them.
    """
    if reactor.seconds is time.monotonic:
        return
    earlier = time.monotonic() - reactor.seconds()
    reactor.seconds = time.monotonic
    for call in reactor.getDelayedCalls():
        call.seconds = time.monotonic
        call.time += earlier


def seconds_since_boot() -> float:
    """Return the seconds since boot, including sleep, which CLOCK_MONOTONIC leaves out."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
