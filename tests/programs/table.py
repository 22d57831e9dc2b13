"""docs/programs.md: what came of every program, written by the run and read by a test."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.programs.definition import ROOT
from tests.programs.outcome import (
    LOST,
    MOVED,
    REFUSED,
    REFUSED_LATE,
    WRONG_RESULT,
    Outcome,
)

PATH: Final = Path(__file__).parents[2] / "docs" / "programs.md"
_HEADINGS = ("program", "what it does", "user", "outcome", "unmoved", "with its moves", "each move")
_PAGE = """\
# Programs that were moved

This page is for people who want to know whether a program of theirs will move. `make programs` writes it: every program is from a package of Debian, and each is run twice. Once it runs as it is. Once it is a job that is moved in mid-run to another host and back home. Exit status, output, errors and every file in its directory are compared byte for byte.

The two hosts have nothing writable in common but /home, as two machines with home directories on NFS. Each has its own /tmp, /var/tmp, /dev/shm and /run, its own processes, network, host name and IPC; the system's files are the same on both. `tests/programs/definitions/` says how each program is run, what happens to it meanwhile, and which files or lines are not compared because they are different in any two runs.

- **moved**: it moved both times, and what it did is what it does unmoved.
- **refused**: `gom migrate --dry-run` and `gom migrate` said why it stays before anything was stopped, and it went on to the same end.

{figures}

{rows}
"""


class Row(NamedTuple):
    """A row of the table: the cells of `_HEADINGS`."""

    program: str
    about: str
    user: str
    outcome: str
    unmoved: str
    moved: str
    moves: str


def render(outcomes: Sequence[Outcome]) -> str:
    """Return the page."""
    rows = [Row(*_HEADINGS), Row(*["---"] * len(_HEADINGS)), *map(_row, outcomes)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return _PAGE.format(figures=figures(outcomes), rows="\n".join(lines))


def figures(outcomes: Sequence[Outcome]) -> str:
    """Return the figures of a run, a sentence or two."""

    def count(word: str) -> int:
        return len([outcome for outcome in outcomes if outcome.word == word])

    refusals = [attempt.seconds for each in outcomes for attempt in each.attempts if each.word == REFUSED]
    moves = sorted(attempt.seconds for each in outcomes for attempt in each.attempts if each.word == MOVED)
    text = (
        f"Of {len(outcomes)} programs {count(MOVED)} moved and {count(REFUSED)} were refused. Wrong results: "
        f"{count(WRONG_RESULT)}; lost jobs: {count(LOST)}; refusals after the freeze: {count(REFUSED_LATE)}."
    )
    if wrong := [outcome.program.name for outcome in outcomes if not outcome.is_right]:
        text += f" Not as it should be: {', '.join(wrong)}."
    if moves:
        text += f" A move took {moves[len(moves) // 2]:.2f} s in the median, {moves[-1]:.2f} s at most"
        text += f", as `gom migrate` takes; a refusal {max(refusals):.2f} s at most." if refusals else "."
    return f"{text} The kernel was Linux {platform.release()}."


def _row(outcome: Outcome) -> Row:
    program = outcome.program
    text = " ".join(outcome.text.split()).replace("|", "\\|")
    return Row(
        program.name,
        program.about,
        "root" if program.user == ROOT else "user",
        f"{outcome.word}: {text}" if text else outcome.word,
        f"{outcome.unmoved:.1f} s",
        f"{outcome.moved:.1f} s",
        ", ".join(f"{attempt.seconds:.2f} s" for attempt in outcome.attempts if attempt.done),
    )


def read(page: str) -> Sequence[Row]:
    """Return the rows of a page. :raises ValueError: there is no such table in it."""
    lines = [line[2:-2].split(" | ") for line in page.splitlines() if line.startswith("| ")]
    if len(lines) < 2 or tuple(lines[0]) != _HEADINGS:
        raise ValueError("docs/programs.md has no table of programs: make programs")
    return [Row(*cells) for cells in lines[2:]]
