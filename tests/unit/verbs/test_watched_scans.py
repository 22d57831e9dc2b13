"""How often processes are scanned: as often as the fastest watch of `ps` asks, and no more once it ended."""

from __future__ import annotations

from itertools import pairwise

from libgomd.testing import MemoryDaemon
from tests.unit.protocols.talk import Talk, crowded


def _scans(daemon: MemoryDaemon, seconds: float) -> int:
    """Return how many scans there are in that time."""
    counted = []
    original = daemon.source.processes

    def processes(now: float) -> object:
        counted.append(now)
        return original(now)

    daemon.source.processes = processes  # type: ignore[method-assign, assignment]
    for _ in range(round(seconds * 10)):
        daemon.clock.advance(0.1)
        daemon.settle()
    daemon.source.processes = original  # type: ignore[method-assign]
    return len(counted)


def test_a_watch_at_one_second_scans_every_second() -> None:
    """Two of them not twice as often, and a faster one as often as it asks."""
    daemon = crowded(3)
    unwatched = _scans(daemon, 20)
    first, second = Talk(daemon), Talk(daemon)
    first.say("watch -n 1 ps --top 2")
    assert 19 <= _scans(daemon, 20) <= 22
    second.say("watch -n 1 ps --top 3")
    assert 19 <= _scans(daemon, 20) <= 24
    second.say("watch -n 0.5 ps --top 3")
    assert 38 <= _scans(daemon, 20) <= 44
    first.say("load")
    second.say("load")
    _scans(daemon, 2)
    assert _scans(daemon, 20) == unwatched


def test_scans_are_not_close_together() -> None:
    """A periodic scan right after a watch's would make percentages over nothing."""
    daemon = crowded(3)
    talk = Talk(daemon)
    talk.say("watch -n 1 ps")
    moments: list[float] = []
    original = daemon.source.processes

    def processes(now: float) -> object:
        moments.append(now)
        return original(now)

    daemon.source.processes = processes  # type: ignore[method-assign, assignment]
    for _ in range(300):
        daemon.clock.advance(0.1)
        daemon.settle()
    assert min(after - before for before, after in pairwise(moments)) > 0.75
