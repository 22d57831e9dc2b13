"""`gom top --once`: the picture of one snapshot."""

from __future__ import annotations

from collections.abc import Callable

from gom.monitor.feed import ClusterState, ProcessQuery
from gom.monitor.spans import Line
from gom.monitor.summary import last_event, summary
from gom.monitor.top_columns import columns_for, heading, row
from gom.monitor.top_view import counted, status_line

#: Nodes whose counts are listed; a larger cluster has one line for all.
_MAX_COUNTED = 8


def draw(
    snapshot: ClusterState,
    wanted: ProcessQuery,
    columns: int,
    rows: int,
    period: float,
    when: Callable[[float], str],
) -> list[Line]:
    """
    Return the picture.

    :param rows: how many lines there is room for; 0 for no limit.
    """
    from gom.monitor.spans import line

    lines = [*summary(snapshot, period), last_event(snapshot, when)]
    table = snapshot.table
    if table is None:
        return lines
    shown = [each for each in table.nodes.values() if each.lines]
    if 0 < len(shown) <= _MAX_COUNTED:
        lines.append(line(", ".join(map(counted, shown))))
    elif shown:
        total = sum(each.matched or len(each.lines) for each in shown)
        lines.append(line(f"{sum(len(each.lines) for each in shown)} of {total} on {len(shown)} nodes"))
    if extra := status_line(snapshot, wanted, None):
        lines.append(extra)
    chosen = columns_for(columns)
    lines.append(heading(chosen, columns, wanted.sort))
    room = len(table) if not rows else max(1, rows - len(lines) - 1)
    for at in range(min(room, len(table))):
        process = table.process(at)
        if process is not None:
            lines.append(row(process, chosen, columns))
    return lines
