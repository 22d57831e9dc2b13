"""
Pages of a node's history as rows of tables. No I/O.

Each value is checked, because another machine has sent it. A row that
is not as it should be is left out and counted; it never stops the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from gomd.history.postgresql.partitions import is_taken
from gomd.history.postgresql.schema import SAMPLE_FIELDS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_KNOWN: Final = frozenset(SAMPLE_FIELDS)
#: Characters of a text that are kept, and of the name of a field.
MAX_TEXT: Final = 4096
MAX_FIELD: Final = 200
#: The latest moment that is believed: the year 9000.
_LATEST: Final = 221_845_392_000.0
_LARGEST: Final = 2**63 - 1

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


def _moment(value: Any) -> datetime:
    """Return a time. :raises ValueError: it is none."""
    seconds = _number(value)
    if not 0.0 <= seconds < _LATEST:
        raise ValueError("no time")
    return _EPOCH + timedelta(seconds=seconds)


def _moment_or_none(value: Any) -> datetime | None:
    return None if value is None else _moment(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("no number")
    found = float(value)
    if found != found or found in (float("inf"), float("-inf")):
        raise ValueError("no number")
    return found


def _number_or_none(value: Any) -> float | None:
    return None if value is None else _number(value)


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or not least <= value <= most:
            raise ValueError("no such whole number")
        return int(value)

    return check


def _or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return _storable(value[:MAX_TEXT])


def _storable(text: str) -> str:
    """Return what PostgreSQL can keep: no NUL, no half of a pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _storable_json(value: Any) -> Any:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, list):
        return [_storable_json(each) for each in value]
    if isinstance(value, dict):
        return {_storable(str(name)): _storable_json(each) for name, each in value.items()}
    if isinstance(value, float):
        return _number(value)
    return value


def _yes(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError("neither yes nor no")
    return bool(value)


def _rate(value: Any) -> float | None:
    """Return a number that has room in four bytes."""
    found = _number_or_none(value)
    if found is not None and abs(found) > 1e30:
        raise ValueError("too large")
    return found


_INT4, _INT8 = _whole(-(2**31), 2**31 - 1), _whole(-_LARGEST - 1, _LARGEST)
_NODE: Final = _whole(1, 65535)
_SCANNED: Final = (
    _INT8, _rate, _number_or_none, _or_none(_INT8), _or_none(_INT8), _or_none(_INT4),
    _or_none(_whole(-32768, 32767)), _text, _rate, _rate, _yes, _yes,
)  # fmt: skip
_PROCESS: Final = (
    _INT8, _text, _INT4, _INT4, _INT4, _INT8, _text, _text, _text, _INT8, _moment_or_none, _number_or_none,
    _INT4, _INT4, _yes, _moment, _moment_or_none,
)  # fmt: skip
_EVENT: Final = (
    _moment, _text, _INT4, _text, _text, _INT4, _or_none(_INT8), _number_or_none, _number_or_none,
    _or_none(_INT8), _yes,
)  # fmt: skip
_JOB: Final = (
    _INT4, _INT8, _moment, _INT4, _or_none(_INT4), _text, _INT8, _text, _or_none(_INT4), _text,
    _moment_or_none, _text, _INT4, _text,
)  # fmt: skip
_NODE_ROW: Final = (_NODE, _moment, _text, _text, _INT4, *(_number_or_none for _ in range(15)))


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
            at = _number(row[0])
            time = _moment(at)
            values = [None if value is None else _number(value) for value in row[1:]]
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
                found.add("measures", [time, page.node, _storable(name), values[position - 1]])


def _read_minutes(found: TableRows, said: Mapping[str, Any], rows: Sequence[Any], page: _Page) -> None:
    name = said.get("field")
    if not isinstance(name, str):
        found.left_out += len(rows)
        return
    name = _storable(name[:MAX_FIELD])
    checks = (_moment, _number_or_none, _number_or_none, _number_or_none)
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
        at = _number(said.get("time"))
        time, hidden = _moment(at), _yes(said.get("hidden"))
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
            node, time, hidden = _checked(row[:3], (_NODE, _moment, _yes))
            if page.own or not isinstance(row[3], list):
                raise TypeError("no processes")
            processes = _storable_json(row[3])
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
    "marks": _plain("marks", (_moment, _text)),
    "nodes": _plain("nodes", _NODE_ROW, timed=1),
    "remembered": _read_remembered,
}
