"""`gom history` and moments: what is sent, and what a person sees."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from gom.history import block_lines, table
from gom.moments import last_time, with_moments

#: 2026-11-28T10:00:00Z.
NOW = 1_795_860_000.0


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    """The caller's clock is at UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ago"),
    [("09:59", 60), ("10:00", 0), ("10:01", 86_340), ("3:12", 6 * 3600 + 48 * 60), ("09:59:30", 30)],
)
def test_the_last_such_time(text: str, ago: int) -> None:
    """Today's when it has been, else yesterday's."""
    assert last_time(text, NOW) == str(int(NOW) - ago)


@pytest.mark.parametrize(
    ("day", "text", "then"),
    [
        ("2026-03-29T10:00", "02:30", "2026-03-28T01:30"),  # the clock went from 02:00 to 03:00
        ("2026-03-29T10:00", "03:30", "2026-03-29T01:30"),
        ("2026-10-25T10:00", "02:30", "2026-10-25T01:30"),  # it had that time twice: the last one
        ("2026-10-25T00:45", "02:30", "2026-10-25T00:30"),  # the second has not been yet
        ("2026-10-25T00:15", "02:30", "2026-10-24T00:30"),
    ],
)
def test_the_last_such_time_on_a_day_with_a_change_of_the_clock(day: str, text: str, then: str) -> None:
    """A time that the clock left out is that of the day before."""
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    time.tzset()

    def seconds(moment: str) -> float:
        return datetime.fromisoformat(f"{moment}+00:00").timestamp()

    assert last_time(text, seconds(day)) == str(int(seconds(then)))


@pytest.mark.parametrize("text", ["24:00", "12:60", "15m", "-1h", "2026-11-28T03:12", "1:2", "12"])
def test_other_moments_are_the_daemons_matter(text: str) -> None:
    """They are sent as they are."""
    assert last_time(text, NOW) == text


def test_moments_are_sent_in_seconds() -> None:
    """Behind the options that take one, joined or not, and nowhere else."""
    sent = with_moments(("@3", "ps", "--at", "09:59", "--match", "09:59", "--since=10:00"), NOW)
    assert sent == ("@3", "ps", "--at", str(int(NOW) - 60), "--match", "09:59", f"--since={int(NOW)}")
    assert with_moments(("put", "--at", "09:59"), NOW) == ("put", "--at", "09:59")


def rows(*times: float) -> list[dict[str, object]]:
    """Return a row of load at each time, as many as seconds."""
    return [{"time": NOW + at, "field": "load", "min": at, "mean": at, "max": at} for at in times]


def test_a_gap_stands_in_the_table() -> None:
    """As a line of its own, with how long it was."""
    lines = list(table(rows(0, 60, 120, 720)))
    assert lines[0].split() == ["TIME", "FIELD", "MIN", "MEAN", "MAX"]
    assert lines[4] == "-                    nothing is known for 9 min"
    assert len(lines) == 6


@pytest.mark.parametrize("step", [0.864, 2 / 3, 0.1])
def test_steps_that_are_shorter_than_from_sample_to_sample(step: float) -> None:
    """They are no gaps: a row a second is all there is. What was not sampled for longer is one."""
    samples = [at for at in range(60) if not 30 <= at < 40]
    found = rows(*(int(at / step) * step for at in samples))
    gaps = [line for line in table(found) if "nothing is known" in line]
    assert len(gaps) == 1


def test_blocks() -> None:
    """From the smallest to the largest, with nothing where nothing is known."""
    assert list(block_lines(rows(0, 1, 2, 3, 5), 40)) == ["load ▁▂▄▅ █ 0 to 5"]
    assert list(block_lines(rows(7), 40)) == ["load ▁ 7 to 7"]
    assert list(block_lines([], 40)) == []
