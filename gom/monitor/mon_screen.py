"""Puts the picture of `gom mon` together: totals, bars or map, migrations, and the keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gom.monitor.heat_map import cells_of, heat_map, legend
from gom.monitor.mon_arcs import arc
from gom.monitor.mon_bars import bars, columns_of, fits
from gom.monitor.mon_help import HELP
from gom.monitor.mon_model import ClusterView, State, state_of, totals_of, words_of
from gom.monitor.mon_values import size
from gom.monitor.mon_view import Metric, MonLayout, Page, View
from gom.monitor.rows import NodeRow
from gom.monitor.spans import Line, Span, Style, clip, fit, fit_line, line, visible, width

#: Lines of the bars in a picture that is not on a screen.
_PICTURE_ROWS: Final = 14
#: Migrations that are drawn on a screen at most: a fifth of it, and no more than this.
_MOST_ARCS: Final = 6
#: Seconds after which the age of the picture is said.
_OLD_ENOUGH: Final = 3.0
#: Lines from which on a screen has more than one line of head, and a legend.
_TALL: Final = 8


@dataclass(frozen=True, slots=True)
class Drawn:
    """
    One picture.

    :ivar lines: from the top down. :ivar page: how many nodes are shown at once.
    :ivar node_at: the id of the node at a cell, column and line; 0 for none.
    """

    lines: list[Line]
    page: Page
    node_at: Callable[[int, int], int]


def shown_nodes(cluster: ClusterView, view: View) -> tuple[NodeRow, ...]:
    """Return the nodes that may be shown, by id."""
    return cluster.nodes if view.dead else tuple(node for node in cluster.nodes if node.up)


def is_map(nodes: Sequence[NodeRow], view: View, cells: int) -> bool:
    """Whether the map is shown: chosen, or because the bars of all nodes do not fit."""
    return view.layout is MonLayout.MAP or (
        view.layout is MonLayout.AUTO and not fits(nodes, view.numbering, cells)
    )


def draw(cluster: ClusterView, view: View, now: float, cells: int, rows: int) -> Drawn:
    """
    Return the picture for a screen.

    :param now: seconds since the epoch. :param cells: its columns. :param rows: its lines; all are used.
    """
    nodes = shown_nodes(cluster, view)
    if view.help:
        return Drawn(_exactly([line(text) for text in HELP], cells, rows), Page(1), lambda x, y: 0)
    head = _head(cluster, view, cells)
    if rows < _TALL:
        head = head[1:] if cluster.trouble else head[:1]
    mapped = is_map(nodes, view, cells)
    arcs = min(len(cluster.moves), rows // 5, _MOST_ARCS)
    is_tall = rows >= _TALL
    body_rows = max(0, rows - len(head) - arcs - (2 if is_tall else 1))
    body = _body(cluster, view, nodes, cells, body_rows, mapped)
    foot = [arc(cluster, move, body.middle, now, cells) for move in cluster.moves[:arcs]]
    if is_tall:
        has_tenths = mapped or not columns_of(nodes, view.numbering, cells).wide
        has_tenths = has_tenths and view.metric is not Metric.SPEED
        foot.append(_cut(legend(nodes, has_tenths, body.prefix), cells))
    foot.append(_foot(view, nodes, cells))
    top = len(head)

    def node_at(x: int, y: int) -> int:
        at = body.place(x, y - top) if top <= y < top + body_rows else -1
        return nodes[at].id if 0 <= at < len(nodes) else 0

    return Drawn(_exactly([*head, *body.lines, *foot], cells, rows), body.page, node_at)


def picture(cluster: ClusterView, view: View, now: float, cells: int) -> list[Line]:
    """Return the picture for `--once`: as many lines as it takes, without keys."""
    nodes = shown_nodes(cluster, view)
    mapped = is_map(nodes, view, cells)
    rows = None if mapped else _PICTURE_ROWS
    body = _body(cluster, view, nodes, cells, rows, mapped)
    moves = [arc(cluster, move, body.middle, now, cells) for move in cluster.moves]
    if moves:
        moves.insert(0, line(f"migrations of the last minute: {len(moves)}"))
    found = [_head(cluster, view, cells)[0], _cut([Span(_title(cluster, view))], cells), *body.lines, *moves]
    return [fit_line(each, cells) for each in (*found, *_special(nodes, cells))]


def _exactly(lines: list[Line], cells: int, rows: int) -> list[Line]:
    return [fit_line(each, cells) for each in lines[:rows] + [()] * (rows - len(lines))]


class _Body(NamedTuple):
    """
    The middle of the screen.

    :ivar place: which node of those that may be shown is at a cell, column and line; below 0 for none.
    :ivar middle: the column in which the bar of a node stands, by its id; None for none.
    :ivar prefix: what all names begin with and the cells leave out.
    """

    lines: list[Line]
    page: Page
    place: Callable[[int, int], int] = lambda x, y: -1
    middle: Callable[[int], int | None] = lambda node: None
    prefix: str = ""


def _body(
    cluster: ClusterView, view: View, nodes: Sequence[NodeRow], cells: int, rows: int | None, mapped: bool
) -> _Body:
    if not nodes:
        text = "nothing is known yet" if cluster.trouble else "there are no nodes to show"
        return _Body([line(clip(text, cells)), *[()] * ((rows or 1) - 1)], Page(1))
    if mapped:
        plan = cells_of(nodes, cells, rows)
        skipped = view.first // plan.across * plan.across
        page = Page(max(1, rows or 1), plan.across)
        found = heat_map(cluster, nodes, view, plan, rows)

        def place_in_map(x: int, y: int) -> int:
            at = plan.place(x, y)
            return at + skipped if at >= 0 else -1

        return _Body(found, page, place_in_map, prefix=plan.prefix)
    columns = columns_of(nodes, view.numbering, cells)
    places = {
        node.id: columns.middle(place)
        for place, node in enumerate(nodes[view.first : view.first + columns.page])
    }

    def place_in_bars(x: int, y: int) -> int:
        at = columns.place(x)
        return at + view.first if 0 <= at < columns.page else -1

    found = bars(cluster, nodes, view, cells, rows or _PICTURE_ROWS)
    return _Body(found, Page(columns.page), place_in_bars, places.get)


def _head(cluster: ClusterView, view: View, cells: int) -> list[Line]:
    """Return the line of totals, and the line of what is shown or wrong."""
    sums = totals_of(cluster.nodes, cluster.standard)
    first: list[Span] = [Span("gom mon", Style.TITLE)]
    if cluster.asked:
        first.append(Span(f" {cluster.name(cluster.asked)}"))
    if view.totals:
        down = sums.nodes - sums.up
        first += [
            Span(": "),
            Span(f"{sums.up} of {sums.nodes} up", Style.BAD if down else Style.PLAIN),
            Span(f", {sums.running:.1f} running on {sums.cpus} CPUs"),
            Span(f", {size(sums.used)} of {size(sums.memory)}"),
        ]
        if sums.balance is not None:
            first.append(Span(f", balance {sums.balance}%"))
    if cluster.trouble:
        return [
            _cut(first, cells),
            _cut([Span(_trouble(cluster), Style.BAD)], cells),
        ]
    return [_cut(first, cells), (Span(fit(_title(cluster, view), cells), Style.HEADING),)]


def _trouble(cluster: ClusterView) -> str:
    age = cluster.trouble_age
    return cluster.trouble + (f" (this is {age:.0f} s old)" if cluster.nodes and age >= _OLD_ENOUGH else "")


def _title(cluster: ClusterView, view: View) -> str:
    yard = f"; the yardstick is {cluster.standard}" if view.yardstick else ""
    return f"{view.metric.title}{_UNITS.get(view.metric.name, '')}{yard}"


_UNITS: Final = {
    "LOAD": ": 1 is one busy process on a standard processor",
    "LOG_LOAD": ": 1 is one busy process on a standard processor",
    "UTIL": ": 100% for each processor",
    "SPEED": " of a processor, and how many there are",
}


def _cut(spans: Sequence[Span], cells: int) -> Line:
    """Return the spans that fit, the last one clipped."""
    found: list[Span] = []
    left = cells
    for span in spans:
        text = clip(visible(span.text), left)
        found.append(Span(text, span.style))
        left -= width(text)
        if left <= 0:
            break
    return tuple(found)


def _special(nodes: Sequence[NodeRow], cells: int) -> list[Line]:
    """Return a line for each thing that is special about nodes, with their names."""
    found = []
    for state in State:
        names = [node.name or str(node.id) for node in nodes if state_of(node) is state]
        if names and state is not State.NORMAL:
            style = Style.BAD if state is State.DEAD else Style.WARN
            found.append(_cut([Span(f"{state.letter} {state.words}: {', '.join(names)}", style)], cells))
    return found


def _foot(view: View, nodes: Sequence[NodeRow], cells: int) -> Line:
    """Return the last line: the number that is typed, the selected node, or the keys."""
    if view.number is not None:
        return _cut([Span("go to node: "), Span(f"{view.number}_", Style.INPUT)], cells)
    selected = next((node for node in nodes if node.id == view.selected), None)
    if selected is not None:
        return _cut([Span(_details(selected), Style.SELECTED)], cells)
    spans = []
    for key, word in _KEYS:
        spans += [Span(key, Style.KEY), Span(f" {word}  ", Style.DIM)]
    return _cut(spans, cells)


_KEYS: Final = (
    ("q", "quit"), ("h", "help"), ("l L", "load"), ("m r", "memory"), ("u", "util"), ("s", "speed"),
    ("x", "map"), ("d", "dead"), ("n p", "scroll"), ("+", "go to"),
)  # fmt: skip


def _details(node: NodeRow) -> str:
    """Return everything that is known of a node."""
    parts = [f"{node.name} (node {node.id}) {node.address}", words_of(node)]
    if node.load is not None:
        parts.append(f"load {node.load / 100:.2f}")
    if node.speed is not None:
        parts.append(f"speed {node.speed} x {node.cpus or 1}")
    if node.util is not None:
        parts.append(f"util {node.util}%")
    if node.tmem and node.mem is not None:
        parts.append(f"memory {size(node.tmem - node.mem)} of {size(node.tmem)}")
    if node.age is not None:
        parts.append(f"{node.age:.1f} s old")
    return "  ".join(parts)
