"""How long a move took and the job stood still, from criu's own figures and the steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from gomd.interfaces import MoveCost
from gomd.jobs.migration.timeline import PAGE, Timeline, parse_stats

#: Of a real dump: 301 microseconds of freezing, 46,512 of being frozen, 2,205 pages.
_STATS = bytes.fromhex("40591055063309571f0000000a1d08ad0210b0eb0218e401209e0e28ce1f3000389d11400048005000")


def test_a_move() -> None:
    """It stood still from criu's freeze until its copy ran; the memory and the images were sent."""
    clock = Clock()
    timeline = Timeline(clock)
    clock.advance(0.1)
    timeline.note("ready")
    clock.advance(0.2)
    timeline.note_dump({"stats-dump": _STATS, "core-1.img": bytes(1000)}, clock.seconds() - 0.01)
    clock.advance(0.05)
    timeline.note_running()
    clock.advance(0.02)
    timeline.note_running()  # said again
    cost = timeline.cost()
    assert cost.seconds == pytest.approx(0.37)
    assert cost.stopped_seconds == pytest.approx(0.047 + 0.01 + 0.05, abs=0.001)
    assert cost.bytes == 2205 * PAGE + 1000 + len(_STATS)
    assert str(timeline) == "ready 100, running 350, running 370"


def test_a_move_whose_memory_went_ahead() -> None:
    """What was sent before the stop is told, and when that was done."""
    clock = Clock()
    timeline = Timeline(clock)
    clock.advance(0.1)
    timeline.note("freeze")
    clock.advance(2.0)
    timeline.note_precopy(1 << 20, 1.5)
    timeline.note("dumped")
    assert timeline.cost() == MoveCost(2.1, precopied=1 << 20)
    assert str(timeline) == "freeze 100, precopied 1600, dumped 2100"
    timeline.note_precopy(0, 0.0)  # of an older supervisor, or of a small job
    assert timeline.cost().precopied == 1 << 20


def test_a_move_that_did_not_come_so_far() -> None:
    """What is not known is not told."""
    assert Timeline(Clock()).cost() == MoveCost(0.0)


@given(st.binary(max_size=80))
def test_any_bytes_are_statistics(data: bytes) -> None:
    """What cannot be read counts as nothing."""
    assert isinstance(parse_stats(data), dict)
    assert isinstance(parse_stats(_STATS[:12] + data), dict)
