"""docs/programs.md: what came of every program, written by the run and read by a test."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.programs.definition import ROOT, Program
from tests.programs.outcome import LOST, MOVED, REFUSED, REFUSED_LATE, WRONG_RESULT, Outcome

PATH: Final = Path(__file__).parents[2] / "docs" / "programs.md"
_HEADINGS = ("program", "what it does", "user", "outcome", "unmoved", "with its moves", "gom migrate")
_PAGE = """\
# Programs that were moved

This page is for people who want to know whether a program of theirs will move. `make programs` writes \
it. Every program is from a package of Debian, and each is run twice. Once it runs as it is. Once it is \
a job that is moved in mid-run to another host and back home. Exit status, output, errors and every file \
in its directory are compared byte for byte.

The two hosts have nothing writable in common but /home, as two machines with home directories on NFS. \
Each has its own /tmp, /var/tmp, /dev/shm and /run, its own processes, network, host name and IPC. The \
system's files are the same on both. `tests/programs/definitions/` says how each program is run, what \
happens to it meanwhile, and which files or lines are not compared because they differ in any two runs.

- **moved**: it moved both times, and what it did is what it does unmoved.
- **refused**: `gom migrate --dry-run` and `gom migrate` said why it stays before anything was stopped, \
and it went on to the same end.

{figures}

{rows}
"""


class Row(NamedTuple):
    """The cells of a row: those of `_HEADINGS`."""

    program: str
    about: str
    user: str
    outcome: str
    unmoved: str = ""
    moved: str = ""
    migrate: str = ""

    @property
    def seconds(self) -> Sequence[float]:
        """How long `gom migrate` took, each time."""
        return [float(each.removesuffix(" s")) for each in self.migrate.split(", ") if each]


def update(page: str, outcomes: Sequence[Outcome], programs: Sequence[Program]) -> str:
    """
    Return the page with the rows of these outcomes made anew.

    :param page: the page as it was, empty when there is none.
    :param programs: all that there are; those that have not been run since they were added say so.
    """
    old = {row.program: row for row in read(page)} if page else {}
    new = {outcome.program.name: _row(outcome) for outcome in outcomes}
    rows = []
    for program in programs:
        row = new.get(program.name) or old.get(program.name) or _unknown(program)
        rows.append(row._replace(about=program.about, user=_user(program)))
    lines = ["| " + " | ".join(row) + " |" for row in (_HEADINGS, ["---"] * len(_HEADINGS), *rows)]
    return _PAGE.format(figures=figures(rows), rows="\n".join(lines))


def figures(rows: Sequence[Row]) -> str:
    """Return the figures of a run in some sentences."""

    def count(word: str) -> int:
        return len([row for row in rows if row.outcome.partition(":")[0] == word])

    text = (
        f"Of {len(rows)} programs {count(MOVED)} moved and {count(REFUSED)} were refused. Wrong results: "
        f"{count(WRONG_RESULT)}; lost jobs: {count(LOST)}; refusals after the freeze: {count(REFUSED_LATE)}."
    )
    if other := len(rows) - sum(map(count, (MOVED, REFUSED, WRONG_RESULT, LOST, REFUSED_LATE))):
        text += f" Other failures: {other}."
    for word, what in ((MOVED, "A move"), (REFUSED, "A refusal")):
        if took := sorted(seconds for row in rows if row.outcome.startswith(word) for seconds in row.seconds):
            text += f" {what} took {took[len(took) // 2]:.2f} s in the median, {took[-1]:.2f} s at most."
    return (
        f"{text} That is how long the command `gom migrate` takes. The kernel was Linux {platform.release()}."
    )


def _row(outcome: Outcome) -> Row:
    program = outcome.program
    text = " ".join(outcome.text.split()).replace("|", "\\|")
    return Row(
        program.name,
        program.about,
        _user(program),
        f"{outcome.word}: {text}" if text else outcome.word,
        f"{outcome.unmoved:.1f} s",
        f"{outcome.moved:.1f} s",
        ", ".join(f"{attempt.seconds:.2f} s" for attempt in outcome.attempts),
    )


def _unknown(program: Program) -> Row:
    return Row(program.name, program.about, _user(program), "not run yet")


def _user(program: Program) -> str:
    return "root" if program.user == ROOT else "user"


def read(page: str) -> Sequence[Row]:
    """Return the rows of a page. :raises ValueError: there is no such table in it."""
    lines = [line[2:-2].split(" | ") for line in page.splitlines() if line.startswith("| ")]
    if len(lines) < 2 or tuple(lines[0]) != _HEADINGS:
        raise ValueError("docs/programs.md has no table of programs: make programs")
    return [Row(*cells) for cells in lines[2:]]
