"""Draws `gom top`: the header, the rows and the lines below them, from values alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING, Final, NamedTuple

from gom.monitor.feed import ClusterState, ProcessQuery
from gom.monitor.figures import age
from gom.monitor.spans import (
    ELLIPSIS,
    Line,
    Span,
    Style,
    box,
    clip,
    fit_line,
    line,
    restyled,
    visible,
    wrapped,
)
from gom.monitor.summary import last_event, summary
from gom.monitor.table import NodeRows
from gom.monitor.top_columns import columns_for, heading, row
from gom.monitor.top_list import ListRow

if TYPE_CHECKING:
    from gom.monitor.top_dialogs import Dialog

#: Seconds; rows of a node that are older are shown as stale.
STALE_AFTER: Final = 3.0
#: Rows below which the header has fewer lines.
_TALL, _SHORT, _TINY = 16, 10, 6
KEYS: Final = (
    ("/", "filter"), ("k", "signal"), ("r", "renice"), ("m", "migrate"), ("l", "lock"), ("space", "mark"),
    ("t", "tree"), ("u", "user"), ("n", "node"), ("J", "jobs"), ("enter", "more"), ("h", "help"),
    ("q", "quit"),
)  # fmt: skip


class TableView(NamedTuple):
    """
    The lower part of the picture.

    :ivar rows: of the window. :ivar first: the place of the first one. :ivar cursor: the place of the cursor.
    :ivar total: of all rows there are.
    """

    rows: Sequence[ListRow]
    first: int
    cursor: int
    total: int


class Below(NamedTuple):
    """
    What stands below the rows.

    :ivar typing: the filter that is being typed; None when none is. :ivar message: the last answer, and its
        style; empty for none.
    """

    typing: str | None = None
    message: str = ""
    style: Style = Style.PLAIN


def header_height(rows: int) -> int:
    """Return how many lines stand above the rows on a screen of that height, with the columns' names."""
    return 5 if rows >= _TALL else 4 if rows >= _SHORT else 2 if rows >= _TINY else 1


def table_height(rows: int) -> int:
    """Return how many rows of processes a screen of that height has."""
    return max(0, rows - header_height(rows) - (1 if rows >= 3 else 0))


def header(
    snapshot: ClusterState,
    wanted: ProcessQuery,
    selected: ListRow | None,
    columns: int,
    rows: int,
    period: float,
    when: Callable[[float], str],
) -> list[Line]:
    """Return the lines above the rows, without the columns' names: fewer on a short screen."""
    first, memory = summary(snapshot, period)
    status = status_line(snapshot, wanted, selected, max(STALE_AFTER, 3 * period))
    count = header_height(rows) - 1
    if snapshot.trouble and count:
        first = line(Span("trying again: ", Style.WARN), Span(visible(snapshot.trouble), Style.BAD))
    if count == 1:
        return [first if snapshot.trouble else status]
    return (
        [first, memory, status] if count == 3 else [first, memory, last_event(snapshot, when), status][:count]
    )


def status_line(
    snapshot: ClusterState, wanted: ProcessQuery, selected: ListRow | None, after: float = STALE_AFTER
) -> Line:
    """Return which rows there are: of the cursor's node, and what selects them."""
    parts: list[Span] = []
    node = None if selected is None or selected.process is None else selected.process.node
    table = snapshot.table
    if node is not None and table is not None and (found := table.nodes.get(node)) is not None:
        parts.append(Span(counted(found)))
        if (old := found.age_at(snapshot.at)) > after:
            why = f": {visible(found.error)}" if found.error else ""
            parts.append(Span(f", as it was {age(old)} ago{why}", Style.BAD))
    elif table is not None and not len(table):
        parts.append(Span("no process" + (" matches" if wanted.match or wanted.user or wanted.jobs else "")))
    elif table is None:
        parts.append(Span("waiting for the processes", Style.DIM))
    if wanted.match:
        parts += [Span("   filter ", Style.DIM), Span(visible(wanted.match), Style.INPUT)]
    if wanted.user:
        parts += [Span("   user ", Style.DIM), Span(visible(wanted.user), Style.INPUT)]
    if wanted.node:
        parts += [Span("   node ", Style.DIM), Span(str(wanted.node), Style.INPUT)]
    if wanted.jobs:
        parts.append(Span("   jobs only", Style.INPUT))
    silent = [] if table is None else [each for each in table.nodes.values() if not each.lines and each.error]
    if silent:
        more = f" and {len(silent) - 3} more" if len(silent) > 3 else ""
        parts.append(
            Span(f"   no rows of node {', '.join(str(each.node) for each in silent[:3])}{more}", Style.BAD)
        )
    if parts:
        parts[0] = parts[0]._replace(text=parts[0].text.lstrip())
    return tuple(parts)


def counted(found: NodeRows) -> str:
    """Return ``20 of 312 on node 3``."""
    shown = len(found.lines)
    total = shown if found.matched is None else found.matched
    return f"{shown} of {total} on node {found.node}"


def body(
    snapshot: ClusterState,
    wanted: ProcessQuery,
    table: TableView,
    marks: Set[str],
    columns: int,
    height: int,
    after: float,
) -> list[Line]:
    """
    Return the names of the columns and the rows of the window.

    :param after: seconds after which rows are old.
    """
    chosen = columns_for(columns)
    lines = [heading(chosen, columns, wanted.sort)]
    for at, each in enumerate(table.rows, table.first):
        is_stale = _is_stale(snapshot, each, after)
        mark = "*" if each.identity in marks else ">" if at == table.cursor else "~" if is_stale else " "
        if each.process is None:
            shown: Line = line(Span(f"{mark}  it has ended, or is no longer among the rows", Style.STALE))
        else:
            shown = row(each.process, chosen, columns, mark=mark, branch=each.branch)
            if is_stale:
                shown = restyled(shown, Style.STALE)
        if each.identity in marks:
            shown = restyled(shown, Style.MARKED)
        if at == table.cursor:
            shown = restyled(fit_line(shown, columns), Style.SELECTED)
        lines.append(shown)
    return lines + [()] * (height - len(table.rows))


def _is_stale(snapshot: ClusterState, shown: ListRow, after: float) -> bool:
    """Whether the row is old: its node is silent, or the daemon is, or its files do not answer."""
    if snapshot.table is None or shown.process is None:
        return False
    if (shown.process.age or 0.0) > after:
        return True
    found = snapshot.table.nodes.get(shown.process.node)
    return found is not None and found.age_at(snapshot.at) > after


def below(below: Below, table: TableView, columns: int, most: int = 1) -> list[Line]:
    """
    Return the last lines: what is being typed, the last answer, or the keys.

    :param most: lines for an answer that is longer than one, such as the reason of a refusal.
    """
    if below.typing is not None:
        return [
            line(
                "filter: ", Span(visible(below.typing) + "_", Style.INPUT), Span("  enter, escape", Style.DIM)
            )
        ]
    if below.message:
        found = wrapped(visible(below.message), columns)
        if len(found) > most:
            found[most - 1 :] = [clip(f"{found[most - 1]} {ELLIPSIS}", columns)]
        return [line(Span(each, below.style)) for each in found]
    spans: list[Span] = []
    where = f" {min(table.cursor + 1, table.total)}/{table.total}"
    room = columns - len(where)
    for key, does in KEYS:
        room -= len(key) + len(does) + 2
        if room < 0:
            break
        spans += [Span(key, Style.KEY), Span(f" {does} ", Style.DIM)]
    return [fit_line((*fit_line(spans, max(0, columns - len(where))), Span(where)), columns)]


def with_dialog(lines: list[Line], dialog: Dialog, columns: int, rows: int) -> list[Line]:
    """Return the picture with a dialog laid over it: as low as possible, so that the header stays."""
    if columns < 24 or rows < 8:  # no room for a frame
        shown = dialog.lines(columns, rows)[-rows:]
        return shown + [()] * (rows - len(shown))
    width = columns if dialog.is_pane else min(columns, 76)
    inner = dialog.lines(width - 4, max(4, rows - (5 if dialog.is_pane else 6)))
    frame = box(visible(dialog.title), inner, width)
    begin = max(0, rows - 1 - len(frame))
    return [*lines[:begin], *frame, *lines[begin + len(frame) :]][:rows]
