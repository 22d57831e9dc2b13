"""Moments as people write them to `gom`: ``HH:MM`` is the last such time on this machine's clock."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Final

#: Options whose value is a moment, and the verbs that have them.
MOMENT_OPTIONS: Final = ("--at", "--since", "--until")
MOMENT_VERBS: Final = ("history", "nodes", "ps", "events", "watch", "report")
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")


def last_time(text: str, now: float, local: Callable[[float], time.struct_time] = time.localtime) -> str:
    """
    Return the last ``HH:MM`` or ``HH:MM:SS`` before ``now`` as seconds since the epoch; other text as it is.

    :param local: gives the date and time of the caller's clock.
    """
    found = _CLOCK.fullmatch(text)
    if found is None:
        return text
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    today = local(now)
    for days in range(3):
        date = (today.tm_year, today.tm_mon, today.tm_mday - days, hour, minute, second, 0, 0)
        # A day with a change of the clock may lack that time, or have it twice.
        found_then = [at for is_dst in (-1, 0, 1) if (at := _seconds_of((*date, is_dst))) is not None]
        there = [at for at in found_then if at <= now and local(at)[3:6] == (hour, minute, second)]
        if there:
            return str(int(max(there)))
    return text


def _seconds_of(date: tuple[int, ...]) -> float | None:
    """Return the seconds since the epoch of a local date and time; None for one that the clock has not."""
    try:
        return time.mktime(date)  # type: ignore[arg-type]
    except (OverflowError, ValueError):
        return None


def with_moments(words: Sequence[str], now: float) -> tuple[str, ...]:
    """Return the words of a request with every ``HH:MM`` behind `MOMENT_OPTIONS` in seconds."""
    if not any(word.lower() in MOMENT_VERBS for word in words[:4]):
        return tuple(words)
    changed: list[str] = []
    for word in words:
        option, is_joined, value = word.partition("=")
        if is_joined and option in MOMENT_OPTIONS:
            changed.append(f"{option}={last_time(value, now)}")
        elif changed and changed[-1] in MOMENT_OPTIONS:
            changed.append(last_time(word, now))
        else:
            changed.append(word)
    return tuple(changed)
