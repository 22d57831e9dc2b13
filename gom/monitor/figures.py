"""Numbers in few cells: bytes, times, rates, shares and bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

UNKNOWN: Final = "-"
_UNITS: Final = "KMGTPE"
#: Eighths of a cell.
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def short_bytes(value: float | None) -> str:
    """Return bytes in at most five cells, in powers of 1024: ``0``, ``812``, ``3.4K``, ``120M``."""
    if value is None:
        return UNKNOWN
    number = float(value)
    if number < 1000:
        return f"{number:.0f}"
    for unit in _UNITS:
        number /= 1024
        if number < 1000 or unit == _UNITS[-1]:
            return f"{number:.1f}{unit}" if number < 99.95 else f"{number:.0f}{unit}"
    raise AssertionError("the last unit takes every number")


def rate(value: float | None) -> str:
    """Return bytes a second; nothing at all is a dot, so that a busy one stands out."""
    return "." if value is not None and value < 1 else short_bytes(value)


def percent(value: float | None) -> str:
    """Return a percentage in at most five cells."""
    if value is None:
        return UNKNOWN
    return f"{value:.1f}" if value < 999.95 else f"{value:.0f}"


def short_seconds(value: float | None) -> str:
    """Return a duration in at most seven cells: ``0:07``, ``12:34``, ``3h05``, ``2d04h``."""
    if value is None:
        return UNKNOWN
    whole = int(value)
    if whole < 6000:
        return f"{whole // 60}:{whole % 60:02d}"
    if whole < 86400:
        return f"{whole // 3600}h{whole // 60 % 60:02d}"
    days, hours = divmod(whole // 3600, 24)
    return f"{days}d{hours:02d}h" if days < 1000 else f"{days}d"


def age(seconds: float) -> str:
    """Return how old something is, in words: ``4 s``, ``12 min``, ``3 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def bar(share: float | None, cells: int) -> str:
    """Return a bar of ``cells``, filled by a share of 0 to 1: ``[||||    ]``."""
    inner = max(0, cells - 2)
    filled = 0 if share is None else round(min(max(share, 0.0), 1.0) * inner)
    return f"[{'|' * filled}{' ' * (inner - filled)}]"


def sparkline(values: Sequence[float | None], cells: int, top: float | None = None) -> str:
    """
    Return the newest ``cells`` values as bars of one line; those that are not known are spaces.

    :param top: the value of a full bar; the largest of the values unless it is given.
    """
    shown = list(values)[-cells:] if cells > 0 else []
    known = [value for value in shown if value is not None]
    full = top if top is not None else max(known, default=0.0)
    if full <= 0:
        full = 1.0
    return "".join(" " if value is None else _block(value / full) for value in shown)


def _block(share: float) -> str:
    return _BLOCKS[round(min(max(share, 0.0), 1.0) * (len(_BLOCKS) - 1))]
