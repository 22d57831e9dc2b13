"""What tests of clocks wait for, and how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.integration.cluster.asking import events
from tests.integration.hosts import Host

#: Seconds within which both sides say so, and are together again: five, and as many for a busy machine.
SOON = 10.0


def within(limit: float, what: Callable[[], Any]) -> float:
    """Return the seconds until ``what`` is true; it has to be in time."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < limit, f"not within {limit:g} s"
        time.sleep(0.05)
    return time.monotonic() - began


def of_clock(host: Host, node: int, since: int) -> list[str]:
    """Return what a host has to tell of the clock of a node, but for what it told before."""
    return [event["reason"] for event in events(host, node, "suspect") if "clock" in event["reason"]][since:]
