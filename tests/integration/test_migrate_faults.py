"""
A job that moves while something fails: at each record and each message, it runs once and loses not a byte.

The cases are run on several trios of daemons at a time, for most of what a case takes is waiting; each test
tells of its own. Root and criu are needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.integration.faulty import Fault
from tests.integration.moving_trio import Moving, Trio, inject
from tests.integration.test_criu import find_criu

#: How many trios there are.
LANES = 3
#: Also those cases whose moment others have too, seen from the other side: `make faults`.
ALL = bool(os.environ.get("GOMD_ALL_FAULTS"))
#: Node ids of source and target, by route; home is always node 1.
ROUTES = {"out": (1, 2), "back": (2, 1), "between": (2, 3)}
_OF_SOURCE = ("asking", "decided", "moved", "stayed")
_TO_TARGET = ("offer", "images", "go", "settled", "abort")


@dataclass(frozen=True)
class Case:
    """
    One fault.

    :ivar step: as in `tests.integration.faulty`. :ivar at: the side it happens at, source or target.
    :ivar do: as there. :ivar victim: the side that is killed, or home. :ivar moves: it runs there afterwards.
    :ivar told: an expression for what the one who asks for the move is told.
    """

    step: str
    at: str
    do: str
    victim: str = ""
    moves: bool = False
    route: str = "out"
    arg: str = ""
    seconds: float = 0.0
    told: str = ""
    first: tuple[str, str] | None = None

    def __str__(self) -> str:
        what = (
            f"{self.do}-{self.victim or self.arg.replace(' ', '-')}" if self.victim or self.arg else self.do
        )
        late = "-late" if self.seconds else ""
        return f"{self.route}-{self.step.replace(' ', '-')}-{what}{late}"


def _writes() -> Iterator[Case]:
    """Either daemon killed right before and right after each record; the one that writes, and the other."""
    for state, before, after in (
        ("asking", False, False), ("decided", False, True), ("moved", True, True),
        ("receiving", False, False), ("holding", False, False), ("running", True, True),
        ("settled", True, True),
    ):  # fmt: skip
        at, other = ("source", "target") if state in _OF_SOURCE else ("target", "source")
        yield Case(f"before write {state}", at, "kill", at, before)
        yield Case(f"after write {state}", at, "kill", at, after)
        yield Case(f"after write {state}", at, "kill", other, after)
    yield Case("before write decided", "source", "kill", "target", True)
    for when in ("before", "after"):  # these are written when something failed before
        cut = ("target", "before write holding")
        yield Case(f"{when} write stayed", "source", "kill", "source", first=cut)
        cut = ("source", "before send images")
        yield Case(f"{when} write refused", "target", "kill", "target", first=cut)


def _messages() -> Iterator[Case]:
    """Each message lost with its connection; its sender killed when it has come; who hears it killed."""
    for word, lost, came in (
        ("offer", False, False), ("ready", False, False), ("images", False, False),
        ("restored", False, True), ("go", True, True), ("running", True, True), ("settled", True, True),
    ):  # fmt: skip
        sender, hearer = ("source", "target") if word in _TO_TARGET else ("target", "source")
        yield Case(f"before send {word}", sender, "cut", moves=lost)
        yield Case(f"before heard {word}", hearer, "kill", hearer, lost)
        if ALL:
            yield Case(f"before heard {word}", hearer, "kill", sender, came)


def _acts() -> Iterator[Case]:
    """Killed right before and after what is done with the process; criu killed at its work."""
    for act, at, moves in (
        ("prepare", "target", False), ("freeze", "source", False), ("restore", "target", False),
        ("thaw", "target", True), ("end", "source", True),
    ):  # fmt: skip
        for when in ("before", "after") if ALL else ("after",):
            yield Case(f"{when} act {act}", at, "kill", at, moves)
    yield Case("after act freeze", "source", "kill", "target")
    yield Case("before forget", "source", "kill", "source", True)
    yield Case("before forget", "target", "kill", "target", True)
    # A criu that waits for the target, where another takes its place; and a dump while criu's code in the job
    # waits for it. What happens when it is killed while the job makes a system call for it:
    # test_migrate_misfortunes.
    yield Case("before begin freeze", "source", "criu", arg="dump", moves=True)
    told = "criu was ended by signal 9|connection to the page server broke"
    yield Case("before begin freeze", "source", "criu", arg="dump splice 1", told=told)
    for seconds in (0.0, 0.04):
        yield Case("before act restore", "target", "criu", arg="restore", seconds=seconds, told=told)


def _orderly_ends() -> Iterator[Case]:
    """A daemon that is stopped as the system stops it."""
    yield Case("before act freeze", "source", "end", "source")
    yield Case("after write decided", "source", "end", "source", True)
    yield Case("after write holding", "target", "end", "target", True)


def _other_routes() -> Iterator[Case]:
    """A guest that moves to its home, and one that moves between two others, whose home is killed."""
    for step, at, victim, moves in (
        ("before act freeze", "source", "target", False),
        ("after act restore", "target", "target", False),
        ("after write holding", "target", "source", False),
        ("after write decided", "source", "source", True),
        ("after write decided", "source", "target", True),
        ("before write running", "target", "target", True),
        ("after write running", "target", "target", True),
        ("before act end", "source", "source", True),
        ("before heard settled", "target", "target", True),
    ):
        yield Case(step, at, "kill", victim, moves, "back")
        if ALL:
            yield Case(step, at, "kill", victim, moves, "between")
    for step, at, moves in (
        ("after write asking", "source", True), ("before send images", "source", True),
        ("after write holding", "target", True), ("after write decided", "source", True),
        ("after write running", "target", True), ("after write moved", "source", True),
        ("before forget", "source", True),
    ):  # fmt: skip
        yield Case(step, at, "kill", "home", moves, "between")


CASES = [*_writes(), *_messages(), *_acts(), *_orderly_ends(), *_other_routes()]


class Lanes:
    """Runs cases on trios, each started when there is work for it, and anew when something was wrong."""

    def __init__(self, home: Path, criu: str, cases: list[Case]) -> None:
        self._trios = [Trio(home / f"trio{lane}", lane, criu) for lane in range(1, LANES + 1)]
        self._free: SimpleQueue[Trio] = SimpleQueue()
        for trio in self._trios:
            self._free.put(trio)
        self._pool = ThreadPoolExecutor(LANES)
        self.results: dict[Case, Future[None]] = {case: self._pool.submit(self._run, case) for case in cases}

    def _run(self, case: Case) -> None:
        trio = self._free.get()
        try:
            if not trio.started:
                trio.start()
            run(trio, case)
        except BaseException:
            trio.clear()  # what is wrong with it is not the next one's
            raise
        finally:
            self._free.put(trio)

    def close(self) -> None:
        """Wait for what runs, leave nothing."""
        self._pool.shutdown(cancel_futures=True)
        for trio in self._trios:
            trio.end()


def run(trio: Trio, case: Case) -> None:
    """Have a job moved with the fault, and see that all is well."""
    source, target = ROUTES[case.route]
    nodes = {"source": source, "target": target, "home": 1, "": 0}
    victim = nodes[case.victim]
    job = Moving(trio, source)
    try:
        if case.first is not None:
            side, step = case.first
            Fault(step, "cut").arm(trio.nodes[nodes[side]].fault)
        pid = trio.nodes[victim].process.pid if victim else 0
        arg = f"{trio.criu} {case.arg}" if case.arg else ""
        fault = Fault(case.step, case.do, pid, arg, case.seconds)
        told = inject(trio, job, source, target, nodes[case.at], fault, victim)
        at, nmigs = (target, 1) if case.moves else (source, 0)
        job.settle(at, nmigs)
        assert re.search(case.told, told), told
        job.finish(at, nmigs)
    finally:
        job.close()


@pytest.fixture(scope="module")
def lanes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    """All cases that are asked for, under way."""
    criu = find_criu()
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    asked = [call.params["case"] for call in calls if call and isinstance(call.params.get("case"), Case)]
    made = Lanes(tmp_path_factory.mktemp("faults"), criu, asked)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault(lanes: Lanes, case: Case) -> None:
    """The job runs where it should, once, `jobs` says so, its output is whole, and nothing is left over."""
    lanes.results[case].result(timeout=600)
