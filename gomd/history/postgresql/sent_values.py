"""Checks of single values that another machine has sent: each returns what can be stored. No I/O."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Final

#: Characters of a text that are kept, and of a word that stands in an index, whose rows PostgreSQL limits.
MAX_TEXT: Final = 4096
MAX_WORD: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: The latest moment that is believed: the year 9000.
_LATEST: Final = 221_845_392_000.0
_LARGEST: Final = 2**63 - 1
_LARGEST_FLOAT: Final = sys.float_info.max


def moment(value: Any) -> datetime:
    """Return a time. :raises ValueError: it is none."""
    seconds = number(value)
    if not 0.0 <= seconds < _LATEST:
        raise ValueError("no time")
    return _EPOCH + timedelta(seconds=seconds)


def moment_or_none(value: Any) -> datetime | None:
    """Return a time, or None for null."""
    return None if value is None else moment(value)


def number(value: Any) -> float:
    """Return a finite number. :raises TypeError, ValueError, OverflowError: it is none."""
    if type(value) not in (int, float):  # nor a bool
        raise TypeError("no number")
    found = float(value)
    if not -_LARGEST_FLOAT <= found <= _LARGEST_FLOAT:
        raise ValueError("no number")
    return found


def number_or_none(value: Any) -> float | None:
    """Return a number, or None for null."""
    return None if value is None else number(value)


def whole(least: int, most: int) -> Callable[[Any], int]:
    """Return what checks for a whole number in a range."""

    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError("no such whole number")
        return int(value)

    return check


def or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a check that also takes null."""
    return lambda value: None if value is None else check(value)


def text(value: Any) -> str:
    """Return a text that can be stored, cut off where it is too long. :raises TypeError: it is none."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return storable(value[:MAX_TEXT])


def word(value: Any) -> str:
    """Return a text for an index. :raises TypeError: it is none. :raises ValueError: it is too long."""
    found = text(value)
    if len(found) > MAX_WORD:
        raise ValueError("too long for an index")
    return found


def storable(words: str) -> str:
    """Return what PostgreSQL can keep: no NUL, no half of a pair."""
    if words.isascii() and "\0" not in words:
        return words
    return words.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def storable_json(value: Any) -> Any:
    """Return a value of JSON whose texts can be stored. :raises ValueError: a number is not finite."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [storable_json(each) for each in value]
    if isinstance(value, dict):
        return {storable(str(name)): storable_json(each) for name, each in value.items()}
    if isinstance(value, float):
        return number(value)
    return value


def yes(value: Any) -> bool:
    """Return whether it is 1 or true. :raises ValueError: it is neither yes nor no."""
    if value not in (0, 1):
        raise ValueError("neither yes nor no")
    return bool(value)


def rate(value: Any) -> float | None:
    """Return a number that has room in four bytes."""
    found = number_or_none(value)
    if found is not None and abs(found) > 1e30:
        raise ValueError("too large")
    return found


INT4, INT8 = whole(-(2**31), 2**31 - 1), whole(-_LARGEST - 1, _LARGEST)
