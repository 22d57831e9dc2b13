"""Periodic timers that criu leaves stopped are told from others, by what the kernel shows of them."""

from __future__ import annotations

import pytest

from gomd.jobs.checkpoint.timerfds import TimerState, parse

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
