"""The migrations of the last minute, from the events of one daemon or of all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from gom.monitor.rows import EventRow

#: The kind of event that tells of a migration.
MIGRATED: Final = "migrated"
#: Seconds for which a migration is shown.
SHOWN_SECONDS: Final = 60.0
#: Seconds for which an earlier migration tells where a job comes from.
_KEPT_SECONDS: Final = 3600.0
#: The source, the target and the home tell of one migration each, and their clocks differ.
SAME_MOVE_SECONDS: Final = 10.0
#: Most migrations that are kept.
MAX_MOVES: Final = 1000

_JOB: Final = re.compile(r"job (\d+) of (\S+) moved to node \d+: (.*)", re.DOTALL)
_GUEST: Final = re.compile(r"guest (\d+)-(\d+) moved to node \d+")


@dataclass(frozen=True, slots=True)
class Move:
    """
    One migration of a job.

    :ivar source: id of the node that it left, 0 when that is not known. :ivar target: where it went.
    :ivar time: when, in seconds since the epoch. :ivar home: id of its home. :ivar job: its number there.
    :ivar what: the command, with its user, as the home tells it; empty when the home has told nothing.
    """

    source: int
    target: int
    time: float
    home: int
    job: int
    what: str = ""

    @property
    def label(self) -> str:
        """A few words for a person: which job it is."""
        return f"job {self.home}-{self.job}{f' {self.what}' if self.what else ''}"


def moves_of(events: Iterable[EventRow], now: float) -> tuple[Move, ...]:
    """
    Return the migrations of the last hour, the newest first, each once. `recent` are those to be shown.

    :param events: in any order, of one daemon or of several; each side of a migration may tell of it.
    :param now: seconds since the epoch.
    """
    told = sorted(
        (event for event in events if event.kind == MIGRATED and event.time > now - _KEPT_SECONDS),
        key=lambda event: event.time,
    )
    found: list[Move] = []
    newest: dict[tuple[int, int], int] = {}
    for event in told:
        move = _move_in(event)
        if move is None:
            continue
        job = (move.home, move.job)
        at = newest.get(job)
        before = None if at is None else found[at]
        if before is not None and at is not None and _same(before, move):
            found[at] = replace(before, source=before.source or move.source, what=before.what or move.what)
            continue
        if before is not None:
            # Where it was last is where it comes from, and what it is does not change.
            move = replace(move, source=move.source or before.target, what=move.what or before.what)
        newest[job] = len(found)
        found.append(move)
    return tuple(sorted(found, key=lambda move: -move.time)[:MAX_MOVES])


def recent(moves: Iterable[Move], now: float) -> tuple[Move, ...]:
    """Return the migrations of the last minute."""
    return tuple(move for move in moves if move.time > now - SHOWN_SECONDS)


def _same(one: Move, other: Move) -> bool:
    return one.target == other.target and abs(one.time - other.time) <= SAME_MOVE_SECONDS


def _move_in(event: EventRow) -> Move | None:
    """Return the migration that an event tells of; None for one in other words."""
    # Only the node that the job left knows what the move took.
    source = event.by if event.seconds is not None and event.by != event.node else 0
    if match := _JOB.match(event.reason):
        return Move(source, event.node, event.time, event.by, int(match[1]), f"of {match[2]}: {match[3]}")
    if match := _GUEST.match(event.reason):
        return Move(source, event.node, event.time, int(match[1]), int(match[2]))
    return None
