"""Every kind of timer, wait and clock goes on after each of ten moves: no timer stops, none expires twice."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job

_PROGRAM = Path(__file__).with_name("every_timer.py").read_text("utf-8")
#: Where it goes: ten moves.
_MOVES = ("2", "3", "home", "2", "home", "3", "2", "3", "2", "home")


class Told:
    """A job that tells how its timers do."""

    def __init__(self, host: Host, user: str) -> None:
        self.job = Job(host, "-n", "1", "/usr/bin/python3", "-c", _PROGRAM, user=user)
        self._answers = 0

    def ask(self, word: str = "tell") -> dict[str, Any]:
        """Return the answer to a line of input."""
        self.job.write(f"{word}\n".encode())
        self._answers += 1
        end = time.monotonic() + PATIENCE
        while self.job.out.count(b"\n") < self._answers:
            assert time.monotonic() < end, (self.job.err, self.job.row())
            time.sleep(0.01)
        answer: dict[str, Any] = json.loads(self.job.out.splitlines()[self._answers - 1])
        return answer

    def goes_on(self, since: dict[str, Any]) -> dict[str, Any]:
        """Wait until every periodic timer has expired again since an answer, and each armed one."""
        end = time.monotonic() + PATIENCE
        while True:
            found = self.ask()
            counts, once = found["counts"], found["armed"]
            stands = {
                name for name, before in since["counts"].items()
                if (counts[name] < once[name] if name in once else counts[name] < before + 2)
            } | {name for name in once if counts.get(name, 0) < once[name]}  # fmt: skip
            if not stands:
                return found
            assert time.monotonic() < end, f"stand still: {sorted(stands)}"
            time.sleep(0.1)


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_every_timer_goes_on(three: list[Host], user: str) -> None:
    """After each move every periodic timer expires again, and what was armed before it expires once."""
    told = Told(three[0], user)
    known = told.goes_on(told.goes_on(told.ask()))
    for target in _MOVES:
        before = told.ask("arm")
        told.job.move(target)
        after = told.ask()
        for clock in ("monotonic", "boottime"):
            assert 0 <= after["clocks"][clock] - before["clocks"][clock] < PATIENCE, clock
        known = told.goes_on(told.goes_on(after))
    time.sleep(1.5)  # longer than any of them is armed: none may come twice
    found = told.ask()
    assert {name: found["counts"][name] for name in found["armed"]} == found["armed"]
    assert set(found["armed"].values()) == {len(_MOVES)}
    assert len(known["counts"]) > 40
    told.job.close()
    assert (told.job.wait(), told.job.err) == (0, b"")
