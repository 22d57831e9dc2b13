"""The number that each metric of `gom mon` shows for a node: its height, its text, its colour, its mark."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gom.monitor.mon_model import State, busy_of, state_of
from gom.monitor.mon_view import Metric
from gom.monitor.rows import NodeRow
from gom.monitor.spans import LEVELS, Style

_GIB: Final = 1 << 30
#: What is shown for a value that is not known.
UNKNOWN: Final = "-"
#: The lowest load on the logarithmic scale.
_LOG_FLOOR: Final = 0.01


@dataclass(frozen=True, slots=True)
class Value:
    """
    One value of a node.

    :ivar number: the height of its bar; None when it is not known. :ivar whole: the height of all that there
        is, such as its memory; None when that says nothing.
    :ivar share: how much of the node is in use, 1 for all of it; None when the metric does not say.
    :ivar text: it, short, with its unit.
    """

    number: float | None
    whole: float | None = None
    share: float | None = None
    text: str = UNKNOWN


def value_of(node: NodeRow, metric: Metric, standard: int) -> Value:
    """Return what ``metric`` shows for a node. :param standard: the yardstick."""
    if metric in (Metric.LOAD, Metric.LOG_LOAD):
        if node.load is None:
            return Value(None)
        return Value(node.load / 100, None, busy_of(node, standard), f"{node.load / 100:.2f}")
    if metric is Metric.SPEED:
        if node.speed is None:
            return Value(None)
        return Value(node.speed, text=f"{short(node.speed)}x{node.cpus or 1}")
    if metric is Metric.UTIL:
        if node.util is None:
            return Value(None)
        whole = 100.0 * (node.cpus or 1)
        return Value(node.util, whole, max(0.0, 1.0 - node.util / whole), f"{node.util}%")
    free = node.mem if metric is Metric.MEMORY else node.rmem
    if free is None or not node.tmem:
        return Value(None)
    used = max(0, node.tmem - free)
    return Value(used / _GIB, node.tmem / _GIB, used / node.tmem, size(used))


def style_of(node: NodeRow, value: Value) -> Style:
    """Return how a node's value is coloured."""
    state = state_of(node)
    if state is State.DEAD:
        return Style.BAD
    if state is State.OLD or value.number is None:
        return Style.STALE
    return Style.LEVEL_1 if value.share is None else level(value.share)


def level(share: float) -> Style:
    """Return the style of a share in use, 1 for all of it."""
    return LEVELS[max(0, min(len(LEVELS) - 1, int(share * len(LEVELS))))]


def mark_of(node: NodeRow, value: Value) -> str:
    """Return one character: what is special about a node, else the tenths in use, ``+`` above all."""
    state = state_of(node)
    if state is not State.NORMAL:
        return state.letter
    if value.number is None:
        return "?"
    if value.share is None:
        return " "
    return "+" if value.share >= 1.05 else str(min(9, int(value.share * 10)))


def top_of_scale(metric: Metric, values: Iterable[Value]) -> float:
    """Return the round number at the top of the axis, for the nodes of the whole cluster."""
    highest = max((max(value.number or 0.0, value.whole or 0.0) for value in values), default=0.0)
    least = {Metric.LOAD: 1.0, Metric.LOG_LOAD: 1.0, Metric.UTIL: 100.0}.get(metric, 1.0)
    return max(least, round_up(highest))


def round_up(number: float) -> float:
    """Return the next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten; 0 for nothing."""
    if number <= 0 or not math.isfinite(number):
        return 0.0
    power: float = 10.0 ** math.floor(math.log10(number))
    least = number * (1 - 1e-9)
    return next((step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8) if step * power >= least), 10 * power)


def height_of(metric: Metric, number: float, top: float) -> float:
    """Return how high a bar is, 1 for the top of the axis."""
    if metric is Metric.LOG_LOAD:
        floor = math.log10(_LOG_FLOOR)
        reached = math.log10(max(number, _LOG_FLOOR)) - floor
        return min(1.0, reached / (math.log10(max(top, 1.0)) - floor))
    return min(1.0, number / top) if top > 0 else 0.0


def at_height(metric: Metric, height: float, top: float) -> float:
    """Return the number that a height stands for: the inverse of `height_of`."""
    if metric is Metric.LOG_LOAD:
        floor = math.log10(_LOG_FLOOR)
        return math.pow(10.0, floor + height * (math.log10(max(top, 1.0)) - floor))
    return height * top


def axis_label(metric: Metric, number: float) -> str:
    """Return a number for the axis, at most 5 characters."""
    if metric in (Metric.MEMORY, Metric.RAW_MEMORY):
        return size(number * _GIB)
    if metric is Metric.UTIL:
        return f"{number:.0f}%"
    if metric is Metric.SPEED:
        return short(number)
    return f"{number:.2g}" if number < 100 else short(number)


def short(number: float) -> str:
    """Return a number in at most 5 characters: 950, 31.5k, 2.1M."""
    if number < 1000:
        return f"{number:.0f}"
    for unit in "kMGT":
        number /= 1000
        if number < 999.5:
            return f"{number:.1f}{unit}" if number < 99.95 else f"{number:.0f}{unit}"
    return f"{number:.0f}P"


def size(count: float) -> str:
    """Return a number of bytes in at most 5 characters, in powers of 1024: 950B, 3.2G."""
    if count < 1000:
        return f"{count:.0f}B"
    for unit in "KMGT":
        count /= 1024
        if count < 999.5:
            return f"{count:.1f}{unit}" if count < 99.95 else f"{count:.0f}{unit}"
    return f"{count / 1024:.0f}P"
