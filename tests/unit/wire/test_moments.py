"""Moments in requests: seconds since the epoch, ISO 8601 and ages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libgomd.errors import MalformedRequest
from libgomd.wire.moments import parse_moment

NOW = 1_795_900_000.0
#: 2026-11-28T03:12:00Z.
NIGHT = 1_795_835_520.0


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", 0.0), ("1700000000", 1_700_000_000.0), ("1700000000.25", 1_700_000_000.25), ("90", 90.0),
        ("20261128", 20_261_128.0),
        ("-90", NOW - 90), ("90s", NOW - 90), ("-90s", NOW - 90), ("15m", NOW - 900), ("-15m", NOW - 900),
        ("12h", NOW - 43_200), ("3d", NOW - 259_200), ("-3d", NOW - 259_200), ("1.5h", NOW - 5400),
        ("0s", NOW), ("-0", NOW),
        ("2026-11-28T03:12", NIGHT), ("2026-11-28T03:12:00", NIGHT), ("2026-11-28T03:12:00Z", NIGHT),
        ("2026-11-28 03:12", NIGHT), ("2026-11-28T03:12:00.5z", NIGHT + 0.5), ("20261128T0312Z", NIGHT),
        ("2026-11-28T04:12+01:00", NIGHT), ("2026-11-28T04:12+01", NIGHT), ("2026-11-27T22:12-0500", NIGHT),
        ("2026-11-28", NIGHT - 3 * 3600 - 12 * 60), ("2026-11-28T03:12:00+00:00", NIGHT),
    ],
)  # fmt: skip
def test_what_is_a_moment(text: str, moment: float) -> None:
    """A bare number is the epoch, a minus or a unit makes it an age, and dates are UTC without an offset."""
    assert parse_moment(text, NOW) == pytest.approx(moment)


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "now", "yesterday", "h", "12x", "+90", "--90", "1e9", "nan", "inf", "12 h", "03:12", "3:12",
        "2026-13-01", "2026-02-30T00:00", "2026-11-28T25:00", "2026-11-28T03:12+99:99", "2026-11-28T03:12:61",
        "9999999999999", "999999999999", "\uff11\uff12h", "12H", "-2026-11-28", "1700000000s ", "0x10",
    ],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    """The error shows how one is written."""
    with pytest.raises(MalformedRequest, match="such as 1700000000"):
        parse_moment(text, NOW, "--since")


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_that_error(text: str) -> None:
    """And a moment is never before the epoch."""
    try:
        assert parse_moment(text, NOW) >= 0
    except MalformedRequest:
        pass
