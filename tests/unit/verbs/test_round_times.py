"""Rounds are due at whole multiples of their period by the wall clock, whatever that clock does."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gomd.verbs.replies import ValueReply
from gomd.verbs.round_times import MERGING_DELAY, SPREAD, RoundTimes, of_merging, of_node
from gomd.verbs.rounds import Round, Watcher, Watches
from libgomd.model import Caller, Role
from libgomd.testing import MemoryDaemon
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import Talk

EPOCH = 1_700_000_000.0


def _clock(seconds: float) -> Clock:
    clock = Clock()
    clock.advance(seconds)
    return clock


def test_two_nodes_send_together_however_long_they_run() -> None:
    """Each counts its own seconds; their wall clocks agree."""
    assert _second_round(1, running_for=17.3) == pytest.approx(EPOCH + 2.0)
    assert _second_round(33, running_for=86_400.8) == pytest.approx(EPOCH + 2.0)


def _second_round(node: int, running_for: float) -> float:
    """Return the time of day of a round of a watch that began at `EPOCH`."""
    clock = _clock(running_for)
    times = of_node(node, clock, lambda: EPOCH + clock.seconds() - running_for)
    return times.after(times.after(running_for, 1.0), 1.0) - running_for + EPOCH


def test_nodes_are_spread_a_little_and_merging_comes_behind_all_of_them() -> None:
    """So that their packets do not meet all at once, and a merged round has what is newest."""
    clock = _clock(5.0)
    delays = {of_node(node, clock, clock.seconds).delay for node in range(1, 501)}
    assert len(delays) == 32
    assert 0.0 <= min(delays) < max(delays) < SPREAD
    assert SPREAD + 0.1 < of_merging(clock, clock.seconds).delay == MERGING_DELAY


@given(st.floats(0, 1e9), st.floats(0, 1e10), st.floats(0.1, 86400), st.floats(0, 0.2), st.floats(0, 10))
def test_the_next_round_is_never_far(
    seconds: float, wall: float, period: float, delay: float, late: float
) -> None:
    """0.5 to 1.5 periods after the last one, whatever the wall clock says; rare rounds after one period."""
    clock = _clock(seconds + late)
    due = RoundTimes(clock, lambda: wall, delay).after(seconds, period)
    assert seconds + period * 0.499 <= due + 1e-6
    assert due <= seconds + period * 1.501 + 1e-6
    if period > 10:
        assert due == seconds + period


def test_a_wall_clock_that_is_set_moves_the_rounds_once() -> None:
    """They are due by the new time after that, and neither pile up nor stop."""
    clock, step = Clock(), [EPOCH]
    asked: list[float] = []

    def ask(_session: object) -> ValueReply:
        asked.append(clock.seconds())
        return ValueReply("1")

    times = of_node(1, clock, lambda: step[0] + clock.seconds())
    watcher = Watcher(Caller(Role.READ, "", None, "tcp"), True)
    talk = Watches().join(clock, watcher, Request("load"), 1.0, None, ask, times=times)
    daemon = _Reader(talk)
    clock.pump([0.05] * 100)
    before = len(asked)
    assert [moment % 1 for moment in asked[1:]] == pytest.approx([0.0] * (before - 1), abs=0.051)
    step[0] -= 3600.3
    clock.pump([0.05] * 100)
    assert all(0.45 < later - sooner < 1.55 for sooner, later in pairwise(asked[1:]))
    assert [moment % 1 for moment in asked[-3:]] == pytest.approx([0.3] * 3, abs=0.051)
    daemon.leave()


class _Reader:
    """Takes rounds until it leaves."""

    def __init__(self, rounds: AsyncGenerator[Round, None]) -> None:
        self._task = Deferred.fromCoroutine(self._take(rounds))
        self._task.addErrback(lambda _failure: None)

    async def _take(self, rounds: AsyncGenerator[Round, None]) -> None:
        async for _round in rounds:
            pass

    def leave(self) -> None:
        self._task.cancel()


def test_a_viewer_sees_the_first_round_at_once_and_the_others_on_the_second() -> None:
    """As a person at the telnet line sees it."""
    daemon = MemoryDaemon()
    daemon.clock.advance(0.3)
    talk = Talk(daemon, Role.ADMIN)
    assert talk.say("watch -n 1 load").count("\r\n") == 2
    heard = []
    for _ in range(30):
        daemon.clock.advance(0.1)
        daemon.settle()
        if talk.heard():
            heard.append(round(daemon.clock.seconds() % 10, 1))
    assert heard == [1.0, 2.0, 3.0]
