"""Measures an idle daemon: processor time over a minute at the default periods, and memory."""

from __future__ import annotations

import time
from typing import Final

from bench.rows import Row, limit, row
from bench.servers import echo, gomd

#: Seconds the daemon is left alone before, and while it is measured.
SETTLE_SECONDS: Final = 6.0
SECONDS: Final = 60.0
#: What the history costs is measured by `bench.history`.
WITHOUT_HISTORY: Final = ("--set", "history.kind=none")


def run() -> list[Row]:
    """Measure, and return the rows."""
    with gomd(*WITHOUT_HISTORY):
        pass  # it writes its bytecode: what compiles it has more memory for ever
    with gomd(*WITHOUT_HISTORY) as ours, echo() as theirs:
        time.sleep(SETTLE_SECONDS)
        used = ours.cpu_seconds()
        time.sleep(SECONDS)
        percent = 100.0 * (ours.cpu_seconds() - used) / SECONDS
        memory, least = ours.memory() / 1e6, theirs.memory() / 1e6
    return [
        limit("processor time of an idle daemon", percent, "% of one", 0.35),
        row("memory of an idle daemon", memory, "MB", "echo of a LineReceiver", least, 1.15),
    ]
