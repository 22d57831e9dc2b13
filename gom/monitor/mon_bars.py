"""The bars of `gom mon`: one vertical bar a node on a common axis, and its number below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gom.monitor.mon_model import ClusterView, State, state_of
from gom.monitor.mon_values import (
    Value,
    at_height,
    axis_label,
    height_of,
    mark_of,
    style_of,
    top_of_scale,
    value_of,
)
from gom.monitor.mon_view import Metric, Numbering, View
from gom.monitor.rows import NodeRow
from gom.monitor.spans import Line, Span, Style, clip, fit, width

#: Cells of the axis on the left, which very narrow screens do without.
_AXIS: Final = 7
_AXIS_LEAST: Final = 30
#: Cells of a column with numbers and names side by side: at least, where there is room, and at most.
_WIDE_LEAST: Final = 6
_WIDE_ENOUGH: Final = 8
_WIDE_MOST: Final = 13
_VERTICAL: Final = 2
_TIGHT: Final = 1
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_DEAD: Final = "DEAD"
#: Rows between two numbers on the axis.
_TICK: Final = 4


@dataclass(frozen=True, slots=True)
class Columns:
    """
    Where the bars stand.

    :ivar left: cells of the axis. :ivar cell: cells of one bar with its gap. :ivar page: bars that fit.
    :ivar wide: whether numbers stand side by side.
    """

    left: int
    cell: int
    page: int
    wide: bool

    def middle(self, place: int) -> int:
        """Return the cell in the middle of the bar at ``place``, counted from the left one that is shown."""
        return self.left + place * self.cell + max(0, self.cell - 2) // 2

    def place(self, x: int) -> int:
        """Return which bar is at cell ``x``; below 0 when that is the axis."""
        return (x - self.left) // self.cell if x >= self.left else -1


def columns_of(nodes: Sequence[NodeRow], numbering: Numbering, cells: int) -> Columns:
    """Return the columns for nodes on a screen that is ``cells`` wide."""
    left = _AXIS if cells >= _AXIS_LEAST else 0
    room = max(1, cells - left)
    named = max((width(node.name) for node in nodes), default=0) + 1
    wanted = min(_WIDE_MOST, max(_WIDE_ENOUGH, named))
    count = max(1, len(nodes))

    def columns(cell: int, wide: bool) -> Columns:
        return Columns(left, cell, max(1, room // cell), wide)

    if numbering is Numbering.WIDE:
        return columns(min(room, max(_WIDE_LEAST, min(wanted, room // count))), True)
    if numbering is Numbering.VERTICAL:
        return columns(min(room, _VERTICAL), False)
    if numbering is Numbering.TIGHT:
        return columns(_TIGHT, False)
    if count * _WIDE_LEAST <= room:
        return columns(min(wanted, room // count), True)
    if count * _VERTICAL <= room:
        return columns(_VERTICAL, False)
    return columns(_TIGHT, False)


def fits(nodes: Sequence[NodeRow], numbering: Numbering, cells: int) -> bool:
    """Whether all nodes have a bar at once."""
    return columns_of(nodes, numbering, cells).page >= len(nodes)


def bars(cluster: ClusterView, nodes: Sequence[NodeRow], view: View, cells: int, rows: int) -> list[Line]:
    """
    Return the bars of ``nodes`` from ``view.first`` on, with axis and numbers.

    :param nodes: those that may be shown. :param cells: how wide. :param rows: how many lines, all are used.
    """
    columns = columns_of(nodes, view.numbering, cells)
    values = [value_of(node, view.metric, cluster.standard) for node in nodes]
    top = top_of_scale(view.metric, values)
    shown = list(zip(nodes, values, strict=True))[view.first : view.first + columns.page]
    below = _numbers(shown, columns, view)[: max(0, rows - 1)]
    high = rows - len(below)
    painted = [_bar(node, value, view.metric, top, high) for node, value in shown]
    lines = []
    for row in range(high):
        spans = [_axis(view.metric, top, row, high)] if columns.left else []
        for bar in painted:
            spans += _cell(bar[row], columns)
        lines.append(tuple(spans))
    return lines + below


def _axis(metric: Metric, top: float, row: int, high: int) -> Span:
    """Return the axis in one row, from 0 at the top: a number every few rows."""
    from_bottom = high - 1 - row
    if row == 0 or (row % _TICK == 0 and from_bottom >= 2):
        label = axis_label(metric, at_height(metric, (high - row) / high, top))
        return Span(fit(label, _AXIS - 2, right=True) + "┤ ", Style.DIM)
    return Span(" " * (_AXIS - 2) + "│ ", Style.DIM)


#: One cell of a bar: the character and the style.
_Painted = tuple[str, Style]


def _bar(node: NodeRow, value: Value, metric: Metric, top: float, high: int) -> list[_Painted]:
    """Return a bar from the top down."""
    if state_of(node) is State.DEAD:
        word = _DEAD if high >= len(_DEAD) else _DEAD[:high]
        return [(" ", Style.PLAIN)] * (high - len(word)) + [(letter, Style.BAD) for letter in word]
    if value.number is None:
        return [(" ", Style.PLAIN)] * (high - 1) + [("?", Style.STALE)]
    style = style_of(node, value)
    eighths = round(height_of(metric, value.number, top) * high * 8)
    if value.number > 0:
        eighths = max(1, eighths)
    whole = 0 if value.whole is None else round(height_of(metric, value.whole, top) * high)
    cells: list[_Painted] = []
    for from_bottom in range(high - 1, -1, -1):
        filled = max(0, min(8, eighths - 8 * from_bottom))
        if filled:
            cells.append((_EIGHTHS[filled], style))
        elif from_bottom < whole:
            cells.append(("+", Style.DIM))
        else:
            cells.append((" ", Style.PLAIN))
    return cells


def _cell(painted: _Painted, columns: Columns) -> list[Span]:
    character, style = painted
    if columns.cell == 1:
        return [Span(character, style)]
    room = columns.cell - 1
    if character.isalpha() or character == "?":
        middle = max(0, columns.cell - 2) // 2
        return [Span(" " * middle + character + " " * (room - middle - 1), style), Span(" ")]
    return [Span(character * room, style), Span(" ")]


def _numbers(shown: Sequence[tuple[NodeRow, Value]], columns: Columns, view: View) -> list[Line]:
    """Return the lines below the bars: values and marks, ids, names."""
    edge = Span(" " * columns.left)
    styles = [
        Style.SELECTED if node.id == view.selected else style_of(node, value) if not node.up else Style.PLAIN
        for node, value in shown
    ]
    if columns.wide:
        told = [_told(node, value, columns.cell - 1) for node, value in shown]
        ids = [str(node.id) for node, _value in shown]
        names = [clip(node.name, columns.cell - 1) for node, _value in shown]
        return [
            (edge, *(_centred(text, columns.cell, style) for text, style in zip(texts, styles, strict=True)))
            for texts in (told, ids, names)
        ]
    gap = " " * (columns.cell - 1)
    marks = (
        edge,
        *(
            Span(mark_of(node, value) + gap, style)
            for (node, value), style in zip(shown, styles, strict=True)
        ),
    )
    digits = max((len(str(node.id)) for node, _value in shown), default=1)
    texts = [str(node.id).rjust(digits) for node, _value in shown]
    return [
        marks,
        *(
            (edge, *(Span(text[at] + gap, style) for text, style in zip(texts, styles, strict=True)))
            for at in range(digits)
        ),
    ]


def _told(node: NodeRow, value: Value, room: int) -> str:
    """Return the value below a bar, behind the letter of what is special about the node."""
    state = state_of(node)
    if state is State.DEAD:
        return state.letter
    letter = state.letter.strip()
    for text in (f"{letter} {value.text}".strip(), f"{letter}{value.text}"):
        if len(text) <= room:
            return text
    return letter + value.text.partition("x")[0]  # the speed without the number of processors


def _centred(text: str, cells: int, style: Style) -> Span:
    room = cells - 1
    text = clip(text, room)
    before = (room - width(text)) // 2
    return Span(" " * before + text + " " * (room - width(text) - before + 1), style)
