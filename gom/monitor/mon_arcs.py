"""Draws the migrations of the last minute as lines from node to node."""

from __future__ import annotations

from collections.abc import Callable

from gom.monitor.mon_model import ClusterView
from gom.monitor.mon_moves import Move
from gom.monitor.spans import Line, Span, Style, clip, visible, width


def arc(
    cluster: ClusterView, move: Move, middle: Callable[[int], int | None], now: float, cells: int
) -> Line:
    """
    Return one migration as a line.

    :param middle: the cell in which the bar of a node stands; None when it is not on the screen.
    :param now: seconds since the epoch. :param cells: how wide the screen is.
    """
    source, target = middle(move.source), middle(move.target)
    told = f"{told_of(cluster, move, now)}"
    if source is None or target is None or source == target:
        return (Span(clip(told, cells), Style.PLAIN),)
    left, right = min(source, target), max(source, target)
    inner = "─" * (right - left - 1)
    drawn = f"╰{inner}▶" if source < target else f"◀{inner}╯"
    room_right, room_left = cells - right - 3, left - 2
    before, after = " " * left, ""
    if room_right >= min(width(told), 20) or room_right >= room_left:
        after = "  " + clip(told, max(0, room_right))
    else:
        text = clip(told, room_left)
        before = text + " " * (left - width(text))
    return (Span(before, Style.DIM), Span(drawn, Style.WARN), Span(after, Style.DIM))


def told_of(cluster: ClusterView, move: Move, now: float) -> str:
    """Return a migration in words: from where to where, how long ago, and which job."""
    names = f"{cluster.name(move.source)} -> {cluster.name(move.target)}"
    return visible(f"{names}  {max(0, round(now - move.time))} s ago  {move.label}")
