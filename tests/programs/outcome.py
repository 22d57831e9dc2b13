"""Runs a program unmoved and moved, compares the two, and says in a word what came of it."""

from __future__ import annotations

import fnmatch
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.programs.definition import Program, Refused
from tests.programs.hosts import ProgramNetwork
from tests.programs.process import Unseen
from tests.programs.running import Attempt, Moving, Result, TooQuick, Unmoved

#: The words of outcomes: what may come of a program, and what went wrong.
MOVED, REFUSED = "moved", "refused"
NOT_INSTALLED, ENDED_EARLY, BROKEN = "not installed", "ended too early", "did not run"
NOT_MOVED, WRONG_REASON, REFUSED_LATE = "not moved", "another reason", "refused after the freeze"
NOT_REFUSED, WRONG_RESULT, LOST = "not refused", "wrong result", "lost"
RIGHT = (MOVED, REFUSED)
#: The share of a program's work that is waited for before each move, of that in its definition: it may end
#: before its second move on a fast machine, and is then run again and moved earlier.
HURRIES = (1.0, 0.4, 0.1)


@dataclass(frozen=True)
class Outcome:
    """
    What came of a program.

    :ivar word: one of the words above. :ivar text: the reason of a refusal, or what went wrong.
    :ivar unmoved: the seconds that it took unmoved; ``moved`` those with its moves; ``attempts`` each one.
    """

    program: Program
    word: str
    text: str = ""
    unmoved: float = 0.0
    moved: float = 0.0
    attempts: Sequence[Attempt] = field(default=())

    @property
    def is_right(self) -> bool:
        """Whether it is what is expected of the program."""
        return self.word == (REFUSED if isinstance(self.program.expect, Refused) else MOVED)


def try_program(program: Program, network: ProgramNetwork) -> Outcome:
    """Run a program unmoved and moved. Blocks."""
    absent = sorted({package for command, package in program.needs.items() if shutil.which(command) is None})
    if absent:
        return Outcome(program, NOT_INSTALLED, f"apt install {' '.join(absent)}")
    begun = time.monotonic()
    stays = Unmoved(program, network)
    try:
        expected = stays.run()
    except (Unseen, AssertionError) as error:
        return Outcome(program, BROKEN, f"unmoved: {error}")
    if expected.status != program.status:
        return Outcome(program, BROKEN, f"unmoved: exit status {expected.status}: {expected.err[-300:]!r}")
    unmoved = time.monotonic() - begun
    for hurry in HURRIES:
        moves = Moving(program, network, stays.process.cpu * hurry)
        begun = time.monotonic()
        outcome = _moved(program, moves, expected, unmoved, begun)
        if outcome.word != ENDED_EARLY:
            break
    return outcome


def _moved(program: Program, moves: Moving, expected: Result, unmoved: float, begun: float) -> Outcome:
    try:
        result = moves.run()
    except TooQuick as error:
        word, text = ENDED_EARLY, str(error)
        if moves.end != (expected.status, ""):
            word, text = LOST, f"exit status {moves.end}; {_said(moves)}"
        return Outcome(program, word, text, unmoved, attempts=moves.attempts)
    except (Unseen, AssertionError) as error:
        word = LOST if moves.attempts else BROKEN
        return Outcome(program, word, f"{error}; {_said(moves)}", unmoved, attempts=moves.attempts)
    word, text = judge(program, moves.attempts, difference(program, expected, result))
    return Outcome(program, word, text, unmoved, time.monotonic() - begun, moves.attempts)


def _said(moves: Moving) -> str:
    return "; ".join(attempt.said for attempt in moves.attempts)


def judge(program: Program, attempts: Sequence[Attempt], different: str) -> tuple[str, str]:
    """Return the word for what came of it, and what there is to say."""
    stayed = [attempt for attempt in attempts if not attempt.done]
    if different:
        return WRONG_RESULT, different
    if not stayed:
        return (NOT_REFUSED, "") if isinstance(program.expect, Refused) else (MOVED, "")
    first = stayed[0]
    foretold, reason = reason_in(first.foretold), reason_in(first.said)
    if not foretold:
        return REFUSED_LATE, reason
    if not isinstance(program.expect, Refused):
        return NOT_MOVED, reason
    if reason not in foretold or not re.search(program.expect.because, reason):
        return WRONG_REASON, f"{reason}; --dry-run: {foretold}"
    return REFUSED, reason


def reason_in(said: str) -> str:
    """Return the reason in what `gom migrate` said of a job that stays."""
    return re.sub(r"\Agom: (process \d+ cannot move to node \d+ \S+: )?", "", said)


def difference(program: Program, expected: Result, result: Result) -> str:
    """Say what is different between two results, empty when they are the same."""
    if result.status != expected.status:
        return f"its exit status is {result.status}, not {expected.status}: {result.err[-300:]!r}"
    streams = [("its output", expected.out, result.out), ("its error output", expected.err, result.err)]
    if not program.compare_output:
        streams = []
    for number, (one, other) in enumerate(zip(expected.beside, result.beside, strict=True)):
        streams.append((f"what the command {number + 1} beside it printed", one, other))
    for what, one, other in streams:
        for pattern in program.mask:
            one, other = (re.sub(pattern, b"", text) for text in (one, other))
        if one != other:
            return f"{what} differs: {_first_difference(one, other)}"
    if expected.files.keys() != result.files.keys():
        return f"its files differ: {sorted(expected.files.keys() ^ result.files.keys())}"
    for name, content in expected.files.items():
        if any(fnmatch.fnmatch(name, pattern) for pattern in program.ignore):
            continue
        if content != result.files[name]:
            return f"{name} differs: {_first_difference(content, result.files[name])}"
    return ""


def _first_difference(expected: bytes, found: bytes) -> str:
    pairs = zip(expected, found, strict=False)
    place = next((place for place, (one, other) in enumerate(pairs) if one != other), None)
    if place is None:
        place = min(len(expected), len(found))
    begin = max(place - 20, 0)
    return (
        f"at byte {place} of {len(expected)} and {len(found)}: "
        f"{expected[begin : place + 60]!r}, moved {found[begin : place + 60]!r}"
    )
