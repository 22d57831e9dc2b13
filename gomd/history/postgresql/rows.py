"""
Pages of a node's history as rows of tables. No I/O.

Each value is checked, because another machine has sent it. A row that
is not as it should be is left out and counted; it never stops the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gomd.history.postgresql import sent_values as sent
from gomd.history.postgresql.partitions import is_taken
from gomd.history.postgresql.schema import SAMPLE_FIELDS

_KNOWN: Final = frozenset(SAMPLE_FIELDS)
#: Characters of the name of a field that are kept.
MAX_FIELD: Final = sent.MAX_WORD

Row = Sequence[Any]


@dataclass
class TableRows:
    """
    What a page has for each table.

    :ivar by_table: rows in the order of the columns in `copying`; those of ``measures`` and ``minutes`` have
        the name of their field where its number comes.
    :ivar left_out: rows that were no rows, or lie outside of the time that is kept.
    :ivar newest: the time of the newest sample or scan in the page, None without one.
    """

    by_table: dict[str, list[Row]] = field(default_factory=dict)
    left_out: int = 0
    newest: float | None = None

    def add(self, table: str, row: Row) -> None:
        """Add one row."""
        self.by_table.setdefault(table, []).append(row)


def rows_in(lines: Sequence[str], node: int, by: int, own: bool, clocks: tuple[float, ...]) -> TableRows:
    """
    Return the rows in the lines of a page.

    :param node: whose page it is, whatever it says itself. :param by: the collector.
    :param own: whether it is a node's own past, which must not say anything of other nodes.
    :param clocks: now by several clocks, in seconds since the epoch; rows far from all of them are left out.
    """
    found = TableRows()
    for line in lines:
        try:
            said = json.loads(line)
            kind, rows = said["kind"], said["rows"]
            read = _READERS[kind]
            if not isinstance(rows, list):
                raise TypeError("rows are no list")
        except (ValueError, KeyError, TypeError, RecursionError):
            found.left_out += 1
            continue
        read(found, said, rows, _Page(node, by, own, clocks))
    return found


@dataclass(frozen=True)
class _Page:
    node: int
    by: int
    own: bool
    clocks: tuple[float, ...]


_BAD: Final = (ValueError, TypeError, KeyError, IndexError, OverflowError)


_NODE: Final = sent.whole(1, 65535)
_INT2, _INT4, _INT8 = sent.whole(-32768, 32767), sent.INT4, sent.INT8
_TEXT, _WORD, _TIME, _YES, _RATE = sent.text, sent.word, sent.moment, sent.yes, sent.rate
_MAYBE_TIME, _MAYBE_NUMBER = sent.moment_or_none, sent.number_or_none
_MAYBE_INT2, _MAYBE_INT4, _MAYBE_INT8 = sent.or_none(_INT2), sent.or_none(_INT4), sent.or_none(_INT8)
_SCANNED: Final = (
    _INT8, _RATE, _MAYBE_NUMBER, _MAYBE_INT8, _MAYBE_INT8, _MAYBE_INT4, _MAYBE_INT2, _TEXT, _RATE, _RATE,
    _YES, _YES,
)  # fmt: skip
_PROCESS: Final = (
    _INT8, _TEXT, _INT4, _INT4, _INT4, _INT8, _TEXT, _TEXT, _TEXT, _INT8, _MAYBE_TIME, _MAYBE_NUMBER, _INT4,
    _INT4, _YES, _TIME, _MAYBE_TIME,
)  # fmt: skip
_EVENT: Final = (
    _TIME, _WORD, _INT4, _TEXT, _TEXT, _INT4, _MAYBE_INT8, _MAYBE_NUMBER, _MAYBE_NUMBER, _MAYBE_INT8, _YES,
)  # fmt: skip
_JOB: Final = (
    _INT4, _INT8, _TIME, _INT4, _MAYBE_INT4, _TEXT, _INT8, _TEXT, _MAYBE_INT4, _TEXT, _MAYBE_TIME, _TEXT,
    _INT4, _TEXT,
)  # fmt: skip
_NODE_ROW: Final = (_NODE, _TIME, _TEXT, _TEXT, _INT4, *(_MAYBE_NUMBER for _ in range(15)))


def _checked(row: Any, checks: Sequence[Callable[[Any], Any]]) -> list[Any]:
    if not isinstance(row, list) or len(row) != len(checks):
        raise ValueError("another number of values")
    return [check(value) for check, value in zip(checks, row, strict=True)]


def _read_samples(found: TableRows, said: Mapping[str, Any], rows: Sequence[Any], page: _Page) -> None:
    fields = said.get("fields")
    if not isinstance(fields, list) or not all(isinstance(each, str) for each in fields):
        found.left_out += len(rows)
        return
    place = {name: at + 1 for at, name in enumerate(fields)}
    wide = [place.get(name) for name in SAMPLE_FIELDS]
    narrow = [(name[:MAX_FIELD], at) for name, at in place.items() if name not in _KNOWN]
    is_sample = any(at is not None for at in wide)
    for row in rows:
        try:
            if not isinstance(row, list) or len(row) != len(fields) + 1:
                raise ValueError("another number of values")
            at = sent.number(row[0])
            time = sent.moment(at)
            values = [None if value is None else sent.number(value) for value in row[1:]]
        except _BAD:
            found.left_out += 1
            continue
        if not is_taken("samples", at, page.clocks):
            found.left_out += 1
            continue
        found.newest = at if found.newest is None else max(found.newest, at)
        if is_sample:
            found.add(
                "samples",
                [time, page.node, *(None if each is None else values[each - 1] for each in wide)],
            )
        for name, position in narrow:
            if values[position - 1] is not None:
                found.add("measures", [time, page.node, sent.storable(name), values[position - 1]])


def _read_minutes(found: TableRows, said: Mapping[str, Any], rows: Sequence[Any], page: _Page) -> None:
    name = said.get("field")
    if not isinstance(name, str):
        found.left_out += len(rows)
        return
    name = sent.storable(name[:MAX_FIELD])
    checks = (sent.moment, sent.number_or_none, sent.number_or_none, sent.number_or_none)
    for row in rows:
        try:
            time, *values = _checked(row, checks)
        except _BAD:
            found.left_out += 1
            continue
        if is_taken("minutes", row[0], page.clocks):
            found.add("minutes", [time, page.node, name, *values])
        else:
            found.left_out += 1


def _read_scan(found: TableRows, said: Mapping[str, Any], rows: Sequence[Any], page: _Page) -> None:
    try:
        at = sent.number(said.get("time"))
        time, hidden = sent.moment(at), sent.yes(said.get("hidden"))
    except _BAD:
        found.left_out += 1
        return
    if not is_taken("scans", at, page.clocks):
        found.left_out += 1
        return
    found.newest = at if found.newest is None else max(found.newest, at)
    found.add("scans", [time, page.node, hidden])
    for row in rows:
        try:
            found.add("scanned", [time, page.node, *_checked(row, _SCANNED)])
        except _BAD:
            found.left_out += 1


def _plain(
    table: str, checks: Sequence[Callable[[Any], Any]], timed: int | None = None
) -> Callable[..., None]:
    """Return what reads rows of ``table``. :param timed: the place of their time, if that must be near."""

    def read(found: TableRows, said: Mapping[str, Any], rows: Sequence[Any], page: _Page) -> None:
        for row in rows:
            try:
                values = _checked(row, checks)
                if timed is not None and not is_taken(table, row[timed], page.clocks):
                    raise ValueError("outside of the time that is kept")
                if page.own and not _OF_ITSELF.get(table, lambda _values, _page: True)(values, page):
                    raise ValueError("of another node")
            except _BAD:
                found.left_out += 1
            else:
                found.add(table, _COMPLETED[table](values, page))

    return read


def _read_remembered(found: TableRows, said: Mapping[str, Any], rows: Sequence[Any], page: _Page) -> None:
    for row in rows:
        try:
            node, time, hidden = _checked(row[:3], (_NODE, sent.moment, sent.yes))
            if page.own or not isinstance(row[3], list):
                raise TypeError("no processes")
            processes = sent.storable_json(row[3])
        except _BAD:
            found.left_out += 1
        else:
            found.add("remembered", [node, time, page.by, hidden, processes])


#: How a row of a page becomes one of its table.
_COMPLETED: Final[Mapping[str, Callable[[list[Any], _Page], Row]]] = {
    "processes": lambda values, page: [page.node, *values],
    "events": lambda values, page: values,
    "jobs": lambda values, page: values,
    "marks": lambda values, page: [values[0], page.node, values[1]],
    "nodes": lambda values, page: [values[1], values[0], page.by, *values[2:]],
}
_OF_JOBS: Final = ("migrated", "started", "ended")
#: Whether a row of a node's own past is about that node.
_OF_ITSELF: Final[Mapping[str, Callable[[list[Any], _Page], bool]]] = {
    "nodes": lambda values, page: values[0] == page.node,
    "jobs": lambda values, page: values[0] == page.node,
    "events": lambda values, page: values[2] == page.node or values[1] in _OF_JOBS,
}
_READERS: Final[Mapping[str, Callable[..., None]]] = {
    "samples": _read_samples,
    "minutes": _read_minutes,
    "scan": _read_scan,
    "processes": _plain("processes", _PROCESS),
    "events": _plain("events", _EVENT),
    "jobs": _plain("jobs", _JOB),
    "marks": _plain("marks", (_TIME, _WORD)),
    "nodes": _plain("nodes", _NODE_ROW, timed=1),
    "remembered": _read_remembered,
}
