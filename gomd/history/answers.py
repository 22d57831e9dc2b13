"""The rows of an answer about values over time: summed up by step, and made when they are shown. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import Final, NamedTuple, overload

from libgomd.model import HistoryRow


class Steps(NamedTuple):
    """The steps of an answer: each is ``seconds`` long, and a value belongs to the one that it begins in."""

    since: float
    until: float
    seconds: float


#: What is known of a step, or of a part of it: its number from 0, the smallest value, the sum of means, each
#: times the seconds that it is of, those seconds together, and the largest value. It is a plain tuple because
#: an answer may have tens of thousands.
Summed = tuple[int, float, float, float, float]


#: Levels from fine to coarse, and the seconds of a row of each: single samples, minutes, hours.
SECONDS, MINUTES, HOURS = 0, 1, 2
LEVEL_SECONDS: Final = (1, 60, 3600)
_Reach = Callable[[int], tuple[float, float]]
_RowsOf = Callable[[int, float, float], Iterator[Summed]]


def by_level(seconds: float, since: float, until: float, reach: _Reach, rows: _RowsOf) -> Iterator[Summed]:
    """
    Yield what is known from ``since`` to ``until``, from the coarsest level whose rows fit into a step.

    What is older than that level reaches comes from the next coarser one, and what is too new to be summed up
    from the next finer one.

    :param seconds: of a step of the answer.
    :param reach: gives where a level begins and ends; (0, 0) for one without rows.
    :param rows: gives what a level knows of a time.
    """
    level = HOURS if seconds >= 3600 else MINUTES if seconds >= 60 else SECONDS
    start, end = reach(level)
    yield from _older(level + 1, since, until, start or inf, reach, rows)
    yield from rows(level, max(since, start), min(until, end))
    while level > SECONDS and end < until:
        level -= 1
        newer = max(since, end)
        _start, finish = reach(level)
        end = max(end, finish) if level else until
        yield from rows(level, newer, until)


def _older(
    level: int, since: float, until: float, begins: float, reach: _Reach, rows: _RowsOf
) -> Iterator[Summed]:
    """
    Yield what only coarser levels still have.

    :param begins: where the next finer level begins.
    """
    if level > HOURS or since >= begins:
        return
    start, _end = reach(level)
    yield from _older(level + 1, since, until, min(start or inf, begins), reach, rows)
    # The row in which the finer level begins sums up what is gone from there, unless it is the first row:
    # then nothing is gone, and it began at a time about which nothing is known.
    if start + LEVEL_SECONDS[level] <= begins:
        yield from rows(level, max(since, start), min(begins, until))


class ValueRows(Sequence[HistoryRow]):
    """
    The rows of an answer, each made when it is shown: tens of thousands at once take a tenth of a second.

    :param found: for each row the number of its step and of its field, and what is known.
    """

    def __init__(
        self, found: list[tuple[int, int, Summed]], fields: tuple[str, ...], steps: Steps, node: int, by: int
    ) -> None:
        self._found = found
        self._fields = fields
        self._steps = steps
        self._node, self._by = node, by

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, at: int) -> HistoryRow: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[HistoryRow]: ...
    def __getitem__(self, at: int | slice) -> HistoryRow | Sequence[HistoryRow]:
        if isinstance(at, slice):
            return [self._row(one) for one in self._found[at]]
        return self._row(self._found[at])

    def _row(self, one: tuple[int, int, Summed]) -> HistoryRow:
        at, field, (_step, least, total, weight, most) = one
        time = round(self._steps.since + at * self._steps.seconds, 3)
        return HistoryRow(
            time,
            self._fields[field],
            plain(least),
            round(total / weight, 2),
            plain(most),
            self._node,
            self._by,
        )


def plain(value: float) -> float:
    """Return a whole number as an int, as everywhere else in gomd."""
    whole = int(value)
    return whole if whole == value else round(value, 2)


def by_step(found: Iterable[Summed], last: int) -> list[Summed]:
    """Return one value for each step, in order; after a step of the clock they come out of order."""
    steps: list[Summed] = []
    newest, in_order = -1, True
    for one in found:
        at = one[0]
        if at > newest:
            steps.append(one)
            newest = at
        elif at == newest:
            steps[-1] = _both(steps[-1], one)
        else:
            steps.append(one)
            in_order = False
    if in_order and newest <= last:
        return steps
    sums: dict[int, Summed] = {}
    for one in steps:
        at = min(one[0], last)
        sums[at] = _both(sums[at], one) if at in sums else (at, *one[1:])
    return [sums[at] for at in sorted(sums)]


def _both(one: Summed, other: Summed) -> Summed:
    return one[0], min(one[1], other[1]), one[2] + other[2], one[3] + other[3], max(one[4], other[4])
