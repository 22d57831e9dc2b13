"""Periodic work that may be a moment late is done in one wake-up."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock, LoopingCall

from libgomd.shared_wakeups import LEAST_DELAY, STEP, SharedWakeups


@given(st.floats(0, 1e7), st.floats(0, 1e4), st.floats(0, 1e4))
def test_a_call_is_never_early_and_hardly_late(up: float, later: float, delay: float) -> None:
    """However long the machine has been up."""
    clock = Clock()
    clock.advance(up)
    shared = SharedWakeups(clock)
    clock.advance(later)
    late = shared.callLater(delay, lambda: None).getTime() - (clock.seconds() + delay)
    assert -1e-6 <= late <= (STEP if delay >= LEAST_DELAY else 0.0) + 1e-6


def begun(clock: Clock, moments: list[float]) -> None:
    """Begin a loop of a second that notes when it is called."""
    loop = LoopingCall(lambda: moments.append(clock.seconds()))
    loop.clock = SharedWakeups(clock)
    loop.start(1.0, now=False)


def test_loops_that_began_one_after_the_other_wake_up_together() -> None:
    """Four loops for six seconds: the clock stands at six moments when one of them is called."""
    clock, moments = Clock(), list[float]()
    clock.advance(12345.67)
    SharedWakeups(clock)
    for _ in range(4):
        clock.advance(0.1)
        begun(clock, moments)
    while (due := min(call.getTime() for call in clock.getDelayedCalls())) < 12352.5:
        clock.advance(due - clock.seconds())
    assert len({round(moment, 3) for moment in moments}) == 6
    assert len(moments) == 24


def test_a_loop_keeps_its_pace() -> None:
    """What is late is not added up."""
    clock, moments = Clock(), list[float]()
    SharedWakeups(clock)
    clock.advance(0.03)
    begun(clock, moments)
    for _ in range(20 * 1000):
        clock.advance(0.05)
    assert len(moments) in (999, 1000)
    assert all(abs(later - earlier - 1.0) < 0.051 for earlier, later in pairwise(moments))
