"""
Parses numbers in the kernel's text and checks their ranges.

Kernels sometimes write wrong numbers: a counter that underflowed is near 2**64, and the /proc of a container
has sizes larger than the machine. Each parser knows the range of its value. A number outside the range
becomes None (unknown) and affects that value only. Text that is not a number, or is cut, is an error.
"""

from __future__ import annotations

import math
import re
from typing import Final, TypeVar

#: Highest counter and size: a signed number of 64 bits. A higher number has underflowed.
MAX_COUNT: Final = 2**63 - 1
#: Maximum memory of one node, in bytes: the limit of the wire format, 8 PiB.
MAX_MEMORY: Final = 2**53 - 1
#: Maximum number of tasks: PID_MAX_LIMIT of a 64-bit kernel.
MAX_TASKS: Final = 2**22
#: Maximum number of processors: the limit of the wire format.
MAX_CPUS: Final = 65535
#: Maximum load, in hundredths of a standard process: the limit of the wire format.
MAX_LOAD: Final = 2**32 - 1
#: 9999-12-31, in seconds since the epoch.
MAX_TIME: Final = 253402300799
#: Maximum number of digits that are parsed. No kernel writes so many.
_MAX_DIGITS: Final = 40
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{0,40})?")

N = TypeVar("N", int, float)


def whole(text: str | bytes, high: int = MAX_COUNT, low: int = 0) -> int | None:
    """
    Return the whole number that ``text`` is; None when it is not within ``low`` to ``high``.

    :raises ValueError: it is no whole number, in ASCII digits.
    """
    if text.isdigit() and text.isascii() and len(text) < _MAX_DIGITS:  # nearly all of them
        value = int(text)
        return value if low <= value <= high else None
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no whole number")
    return within(int(text), low, high) if len(text) <= _MAX_DIGITS else None


def decimal(text: str, high: float, low: float = 0.0) -> float | None:
    """
    Return the decimal number that ``text`` is; None when it is not within ``low`` to ``high``.

    :raises ValueError: it is no decimal number, in ASCII digits.
    """
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no number")
    return within(float(text), low, high)


def within(value: N | None, low: N, high: N) -> N | None:
    """Return ``value``; None when it is not known, or not within ``low`` to ``high``."""
    return value if value is not None and low <= value <= high else None


def step(new: int | None, old: int | None) -> int:
    """Return by how much a counter rose; 0 if it decreased or is unknown."""
    return max(0, new - old) if new is not None and old is not None else 0


def rate(new: int | None, old: int | None, seconds: float) -> float | None:
    """
    Return by how much a counter rose per second over ``seconds``, rounded to a tenth.

    The result is 0 if the counter decreased (it was reset, or wrapped at 32 or 64 bits), and None if it is
    unknown or ``seconds`` is not positive and finite.
    """
    if new is None or old is None or not (seconds > 0.0 and math.isfinite(seconds)):
        return None
    return round(step(new, old) / seconds, 1)
