"""
How a request names a moment: seconds since the epoch, ISO 8601, or an age. No I/O.

``1700000000`` is a moment of the epoch, ``2026-11-28T03:12`` ISO 8601 (UTC unless an offset is given), and
``90s``, ``15m``, ``12h``, ``3d`` are ages, with or without ``-``. A bare number is an age only with ``-``.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

from libgomd.errors import MalformedRequest

#: The latest moment that is accepted: the end of the year 9999.
MAX_MOMENT: Final = 253_402_300_799.0
_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EPOCH = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_AGE = re.compile(r"(-?)([0-9]{1,12}(?:\.[0-9]{1,9})?)([smhd]?)")
_ISO = re.compile(
    r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r" ?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_EXAMPLES: Final = "such as 1700000000, 2026-11-28T03:12, 2026-11-28T03:12+01:00, -90, 15m, 12h or 3d"


def parse_moment(text: str, now: float, what: str = "T") -> float:
    """
    Return the moment in ``text``, in seconds since the epoch.

    :param now: the present moment, for ages. :param what: the name of the argument, for the error.
    :raises MalformedRequest: it is none; the text says what is allowed.
    """
    found = _moment(text, now)
    if found is None or not 0 <= found <= MAX_MOMENT:
        raise MalformedRequest(f"{what} is a moment {_EXAMPLES}, not {text[:40]}")
    return found


def _moment(text: str, now: float) -> float | None:
    if not text.isascii():
        return None
    if _EPOCH.fullmatch(text):
        return float(text)
    if (age := _AGE.fullmatch(text)) is not None and (age[1] or age[3]):
        return max(0.0, now - float(age[2]) * _UNITS[age[3]])
    if (iso := _ISO.fullmatch(text)) is not None:
        return _iso_moment(iso)
    return None


def _iso_moment(found: re.Match[str]) -> float | None:
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        at = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), min(int(second or 0), 59),
            tzinfo=_zone(offset),
        )  # fmt: skip
    except ValueError:
        return None
    if second is not None and int(second) > 60:
        return None
    leap = 1.0 if second == "60" else 0.0
    return at.timestamp() + leap + (float(f"0.{fraction}") if fraction else 0.0)


def _zone(offset: str | None) -> timezone:
    """Return the time zone of an offset. :raises ValueError: there is no such offset."""
    if not offset or offset in "Zz":
        return timezone.utc
    digits = offset[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if minutes > 59:
        raise ValueError(offset)
    away = timedelta(hours=hours, minutes=minutes)
    return timezone(-away if offset[0] == "-" else away)
