"""The columns of `gom top`: what each shows of a process, and which of them a width has room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from gom.monitor.figures import percent, rate, short_bytes, short_seconds
from gom.monitor.rows import ProcessRow
from gom.monitor.spans import Line, Span, Style, clip, fit, visible

#: Cells that the command has at least; columns are left out before it has fewer.
MIN_COMMAND: Final = 12


class Column(NamedTuple):
    """
    One column.

    :ivar width: in cells.
    :ivar rank: columns with a higher one are left out first where there is little room.
    :ivar cell: gives text and style of a process. :ivar right: whether it stands at the right end.
    :ivar sort: the key of `--sort` by which its values are ordered; empty for none.
    """

    heading: str
    width: int
    rank: int
    cell: Callable[[ProcessRow], tuple[str, Style]]
    sort: str = ""
    right: bool = True


_STATES: Final = {
    "R": Style.GOOD, "D": Style.BAD, "Z": Style.BAD, "X": Style.BAD, "T": Style.WARN, "t": Style.WARN
}  # fmt: skip
#: From this many percent on, a process keeps a processor busy; above the other one it is more than idle.
_BUSY, _IDLE = 90.0, 0.5


def _home(process: ProcessRow) -> tuple[str, Style]:
    return ("", Style.PLAIN) if process.home == process.node else (str(process.home), Style.WARN)


def _state(process: ProcessRow) -> tuple[str, Style]:
    mark = "!" if process.stuck else ""
    return f"{visible(process.state)[:1]}{mark}", _STATES.get(process.state, Style.PLAIN)


def _cpu(process: ProcessRow) -> tuple[str, Style]:
    value = process.cpu_percent
    if value is None or value < _IDLE:
        return percent(value), Style.DIM
    return percent(value), Style.BAD if value >= _BUSY else Style.PLAIN


def move_letter(process: ProcessRow) -> tuple[str, Style]:
    """Return ``x`` for a process that cannot move, ``L`` for one that is locked, ``m`` for one that may."""
    if process.cantmove:
        return "x", Style.DIM
    return ("L", Style.WARN) if process.lock else ("m", Style.GOOD)


def _text(value: Callable[[ProcessRow], str]) -> Callable[[ProcessRow], tuple[str, Style]]:
    return lambda process: (value(process), Style.PLAIN)


COLUMNS: Final = (
    Column("NODE", 4, 2, _text(lambda process: str(process.node))),
    Column("HOME", 4, 5, _home),
    Column("PID", 7, 0, _text(lambda process: str(process.pid)), "pid"),
    Column("USER", 8, 3, _text(lambda process: visible(process.user)), right=False),
    Column("S", 2, 4, _state, right=False),
    Column("%CPU", 5, 1, _cpu, "cpu"),
    Column("RSS", 5, 3, _text(lambda process: short_bytes(process.rss)), "rss"),
    Column("TIME", 7, 6, _text(lambda process: short_seconds(process.cpu_seconds)), "time"),
    Column("IO/s", 5, 7, _text(lambda process: rate(process.io_rate)), "io"),
    Column("NI", 3, 9, _text(lambda process: "-" if process.nice is None else str(process.nice))),
    Column("M", 1, 8, move_letter),
    Column("CANTMOVE", 14, 10, lambda process: (visible(process.cantmove), Style.DIM), right=False),
)
#: The columns that are shown only where the command keeps more than this.
_WIDE: Final = {"NI": 40, "CANTMOVE": 60}


def columns_for(width: int) -> tuple[Column, ...]:
    """Return the columns that a screen of ``width`` cells has room for, beside the mark and the command."""
    chosen: list[Column] = []
    left = width - 1
    for column in sorted(COLUMNS, key=lambda each: each.rank):
        if left - column.width - 1 >= _WIDE.get(column.heading, MIN_COMMAND if column.rank > 1 else 5):
            chosen.append(column)
            left -= column.width + 1
    return tuple(column for column in COLUMNS if column in chosen)


def heading(columns: Sequence[Column], width: int, sort: str) -> Line:
    """Return the line with the names of the columns; the one that decides the order has an arrow."""
    spans = [Span(" ", Style.HEADING)]
    for column in columns:
        is_sorted = column.sort == sort and bool(sort)
        name = fit(f"{column.heading}" + ("↓" if is_sorted else ""), column.width, right=column.right)
        spans.append(Span(name, Style.SORTED if is_sorted else Style.HEADING))
        spans.append(Span(" ", Style.HEADING))
    used = 1 + sum(column.width + 1 for column in columns)
    name = "COMMAND" + (" ↓newest" if sort == "start" else "")
    spans.append(Span(fit(name, max(0, width - used)), Style.HEADING))
    return tuple(spans)


def sort_at(width: int, cell: int) -> str:
    """Return the key that the column at a cell is ordered by; empty for none."""
    at = 1
    for column in columns_for(width):
        if at <= cell < at + column.width:
            return column.sort
        at += column.width + 1
    return ""


def row(
    process: ProcessRow, columns: Sequence[Column], width: int, *, mark: str = " ", branch: str = ""
) -> Line:
    """
    Return the line of one process.

    :param mark: one cell before the columns. :param branch: before the command, in a tree.
    """
    spans = [Span(mark, Style.MARKED)]
    used = 1
    for column in columns:
        text, style = column.cell(process)
        spans.append(Span(fit(text, column.width, right=column.right) + " ", style))
        used += column.width + 1
    # A command line may have thousands of characters, of which a screen shows some: look at no more.
    command = visible(process.command[: max(0, 2 * width)])
    spans.append(Span(branch, Style.DIM))
    spans.append(Span(clip(command, max(0, width - used - len(branch)))))
    return tuple(spans)
