"""The heat map of `gom mon`: one cell a node, with its name where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gom.monitor.mon_model import ClusterView, State, state_of
from gom.monitor.mon_values import mark_of, style_of, value_of
from gom.monitor.mon_view import View
from gom.monitor.rows import NodeRow
from gom.monitor.spans import Line, Span, Style, fit, width

#: Cells of a name, at most.
_NAME_MOST: Final = 16
#: Cells of the id of a row's first node, where cells have no names.
_LEFT: Final = 6


@dataclass(frozen=True, slots=True)
class Cells:
    """
    How the cells of the map stand.

    :ivar across: nodes in one row. :ivar cell: cells of the screen for each. :ivar left: cells for the id of
        the first node of each row, 0 where nodes are named. :ivar names: what stands in each; empty for
        the mark only. :ivar prefix: what all names begin with and the cells leave out.
    """

    across: int
    cell: int
    left: int
    names: tuple[str, ...]
    prefix: str = ""

    def place(self, x: int, y: int) -> int:
        """Return which node is at a cell of the map; below 0 for none."""
        across = (x - self.left) // self.cell
        return y * self.across + across if x >= self.left and across < self.across else -1


def cells_of(nodes: Sequence[NodeRow], cells: int, rows: int | None) -> Cells:
    """
    Return the map of nodes that says the most: whole names, the ends of names, ids, or marks only.

    :param rows: how many lines there are; None for as many as it takes.
    """
    names = tuple(node.name or str(node.id) for node in nodes)
    prefix = _common(names)
    ends = tuple(name[len(prefix) :] for name in names)
    for texts, dropped in ((names, ""), (ends, prefix), (tuple(str(node.id) for node in nodes), "")):
        longest = min(_NAME_MOST, max(map(width, texts), default=1))
        # The name, a space, the mark, and a gap to the next one.
        cell = longest + 3
        across = (cells + 1) // cell
        if across and (rows is None or across * rows >= len(nodes)):
            return Cells(across, cell, 0, texts, dropped)
    left = _LEFT if cells >= 4 * _LEFT else 0
    for cell in (2, 1):
        across = max(1, (cells - left) // cell)
        if cell == 1 or across * (rows or 0) >= len(nodes):
            break
    return Cells(across, cell, left, ())


def _common(names: Sequence[str]) -> str:
    """Return what all names begin with, without the digits at its end; empty for a single name."""
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)
    same = next(
        (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first)
    )
    return first[:same].rstrip("0123456789")


def heat_map(
    cluster: ClusterView, nodes: Sequence[NodeRow], view: View, plan: Cells, rows: int | None
) -> list[Line]:
    """
    Return the map of ``nodes``; of the rows from that of the node at place ``view.first`` on.

    :param plan: how the cells stand. :param rows: how many lines, all are used; None for as many as it takes.
    """
    skipped = view.first // plan.across
    needed = -(-len(nodes) // plan.across)
    lines: list[Line] = []
    for row in range(skipped, needed if rows is None else min(needed, skipped + rows)):
        begin = row * plan.across
        spans: list[Span] = []
        if plan.left:
            spans.append(Span(fit(str(nodes[begin].id), plan.left - 1, right=True) + " ", Style.DIM))
        for place in range(begin, min(begin + plan.across, len(nodes))):
            spans += _cell(cluster, nodes[place], plan, place, view)
        lines.append(tuple(spans))
    if rows is not None:
        lines += [()] * (rows - len(lines))
    return lines


def _cell(cluster: ClusterView, node: NodeRow, plan: Cells, place: int, view: View) -> list[Span]:
    value = value_of(node, view.metric, cluster.standard)
    style = Style.SELECTED if node.id == view.selected else style_of(node, value)
    mark = mark_of(node, value)
    if not plan.names:
        return [Span(mark, style), *([Span(" ")] if plan.cell == 2 else [])]
    return [Span(f"{fit(plan.names[place], plan.cell - 3)} {mark}", style), Span(" ")]


def legend(nodes: Sequence[NodeRow], has_tenths: bool, prefix: str) -> Line:
    """
    Return what the marks mean, of those that are shown.

    :param has_tenths: whether marks are shown that say how much is in use. :param prefix: what the names of
        the nodes begin with and their cells leave out.
    """
    parts: list[Span] = []
    if prefix:
        parts.append(Span(f"{prefix}...  ", Style.PLAIN))
    if has_tenths:
        parts.append(Span("0-9 tenths in use, + more than all  ", Style.DIM))
    there = {state_of(node) for node in nodes}
    for state in State:
        if state is not State.NORMAL and state in there:
            style = Style.BAD if state is State.DEAD else Style.WARN
            parts += [Span(state.letter, style), Span(f" {state.words}  ", Style.DIM)]
    return tuple(parts)
