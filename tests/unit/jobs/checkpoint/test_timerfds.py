"""Timers that criu leaves stopped are told from others, by what the kernel shows of them."""

from __future__ import annotations

import pytest

from gomd.jobs.checkpoint.timerfds import TimerState, decode, encode, parse, restart_found
from libgomd.wire.frames import MalformedFrame

_TEXT = (
    "pos:\t0\nflags:\t02\nmnt_id:\t16\nino:\t4\nclockid: 1\nticks: {ticks}\nsettime flags: 0{flags}\n"
    "it_value: ({value}, {rest})\nit_interval: (0, {interval})\n"
)


@pytest.mark.parametrize(("ticks", "value", "interval", "stands"), [
    (3, 0, 50_000_000, True),  # it expired and was not read when it was dumped
    (0, 0, 50_000_000, False),  # the program has switched it off, and the interval stayed
    (3, 20, 50_000_000, False),  # it goes on
    (1, 0, 0, False),  # it was to expire once, and did
    (0, 0, 0, False),  # it was never set
])  # fmt: skip
@pytest.mark.parametrize("flags", [0, 1, 3])
def test_which_stand_still(ticks: int, value: int, interval: int, stands: bool, flags: int) -> None:
    """Only what has expired, is periodic and has no next time."""
    state = parse(_TEXT.format(ticks=ticks, value=0, rest=value, interval=interval, flags=flags))
    assert state == TimerState(ticks, value, interval)
    assert state.stands_still is stands


def test_seconds_and_nanoseconds() -> None:
    """Both count; a file that shows no timer shows one that does nothing."""
    text = _TEXT.format(ticks=0, value=2, rest=7, interval=1, flags=0)
    assert parse(text) == TimerState(0, 2_000_000_007, 1)
    assert parse("pos:\t0\n") == TimerState(0, 0, 0)


_PERIODIC, _ONCE, _OFF = TimerState(0, 0, 50), TimerState(0, 0, 0), TimerState(0, 0, 0)


def test_one_that_was_just_due_when_it_was_dumped() -> None:
    """It shows nothing then, as one that is off; behind the dump the original shows that it has expired."""
    copies = [(7, 3, _PERIODIC), (7, 4, _ONCE), (7, 5, _OFF), (7, 6, TimerState(0, 9, 50)), (8, 3, _OFF)]
    started: list[tuple[int, int, TimerState]] = []
    expired = {7: {3: 1, 4: 2, 6: 1}}
    count = restart_found(lambda: copies, expired, lambda *each: started.append(each), lambda _seconds: None)
    assert (count, started) == (2, [(7, 3, TimerState(1, 0, 50)), (7, 4, TimerState(2, 0, 0))])


def test_one_that_is_due_as_it_is_looked_at() -> None:
    """Its interrupt comes a moment later: it expires once, not twice."""
    looks = iter(([(7, 3, _ONCE)], [(7, 3, TimerState(1, 0, 0))]))
    started: list[tuple[int, int, TimerState]] = []
    assert not restart_found(
        lambda: next(looks), {7: {3: 1}}, lambda *each: started.append(each), lambda _seconds: None
    )
    assert not started


def test_ticks_travel() -> None:
    ticks = {7: {3: 1, 4: (1 << 64) - 1}}
    assert decode(encode(ticks), "timers") == ticks


@pytest.mark.parametrize(
    "told", [[], {"x": {}}, {"7": []}, {"7": {"3": 0}}, {"7": {"3": True}}, {"7": {"-3": 1}}]
)
def test_ticks_that_are_none(told: object) -> None:
    with pytest.raises(MalformedFrame):
        decode(told, "timers")
