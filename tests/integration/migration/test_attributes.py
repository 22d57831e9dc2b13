"""Attributes of processes and threads after a move, as docs/migration-attributes.md says of each."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gomd.jobs.checkpoint.criu import Criu
from gomd.jobs.checkpoint.inet_sockets import version
from tests.integration.cluster.asking import ask
from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job
from tests.integration.test_criu import find_criu

_PROGRAM = Path(__file__).with_name("attributes_program.py").read_text("utf-8")
_TABLE = Path(__file__).parents[3] / "docs" / "migration-attributes.md"
_ROW = re.compile(r"^\| ([^|]+) \| (kept|adapted|refused|lost) \|[^|]*\|([^|]*)\|$", re.MULTILINE)
_SECOND = " of the second thread"
#: What root does to a process of its host, a word behind it.
_PREFER = """
import os, sys
os.setpriority(os.PRIO_PROCESS, int(sys.argv[1]), -5)
os.sched_setscheduler(int(sys.argv[1]), os.SCHED_RR, os.sched_param(4))
"""
#: What an adapted attribute is on the other node, given what it was; those that are not here may be anything.
_ADAPTED: Mapping[str, Any] = {
    "same-page merging": lambda _before: 0,
    "memory policy": lambda _before: [0, 0],
    "processors": lambda before: before,  # the other host has the same ones
}


def documented() -> dict[str, str]:
    """Return what becomes of each attribute that the table says this test tries."""
    rows = _ROW.findall(_TABLE.read_text("utf-8"))
    return {name: outcome for name, outcome, tested in rows if "test_attributes" in tested}


class Told:
    """A job that tells its attributes, one line for each question."""

    def __init__(self, host: Host, user: str, *words: str, under: tuple[str, ...] = ()) -> None:
        self.job = Job(host, "-n", "1", *under, "/usr/bin/python3", "-c", _PROGRAM, *words, user=user)
        self.lines = 0
        self.unset: dict[str, str] = self.next()

    def next(self) -> dict[str, Any]:
        """Return the next line."""
        self.lines += 1
        end = time.monotonic() + PATIENCE
        while self.job.out.count(b"\n") < self.lines:
            assert time.monotonic() < end, (self.job.err, self.job.row())
            time.sleep(0.01)
        found: dict[str, Any] = json.loads(self.job.out.splitlines()[self.lines - 1])
        return found

    def ask(self) -> dict[str, Any]:
        """Return its attributes now."""
        self.job.write(b"tell\n")
        return self.next()

    def end(self) -> None:
        """Let it end."""
        self.job.close()
        assert (self.job.wait(), self.job.err) == (0, b"")


def compare(before: dict[str, Any], after: dict[str, Any], table: dict[str, str]) -> None:
    """Check that every attribute has become what the table says."""
    assert after.keys() == before.keys()
    for name, value in before.items():
        attribute = name.removesuffix(_SECOND)
        outcome = table.get(attribute)
        if outcome in ("kept", "refused"):
            assert after[name] == value, name
        elif outcome == "adapted" and attribute in _ADAPTED:
            assert after[name] == _ADAPTED[attribute](value), name


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("words", [
    (), ("dumpable",), ("scheduling policy",), ("nice",), ("reset on fork",), ("capabilities", "limits"),
], ids=lambda words: ", ".join(words) or "usual")  # fmt: skip
def test_attributes_go_along(three: list[Host], user: str, words: tuple[str, ...]) -> None:
    """To another node and home again; those that could not be set count as they are."""
    table = documented()
    told = Told(three[0], user, *words)
    before = told.ask()
    untried = table.keys() - before.keys() - {"security label", "environment"}  # not everybody may read these
    assert not untried - told.unset.keys(), untried
    assert {name.removesuffix(_SECOND) for name in before} <= set(_names()), "attributes without a row"
    told.job.move("2")
    compare(before, told.ask(), table)
    told.job.move("home")
    compare(before, told.ask(), {**table, "memory policy": "", "same-page merging": ""})
    told.end()


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_what_only_root_gives_a_process(three: list[Host], user: str) -> None:
    """Real time and a nice value below 0 stay with root's job; no user's job brings them to another node."""
    told = Told(three[0], user)
    told.ask()
    three[0].run("/usr/bin/python3", "-c", _PREFER, str(told.job.pid))
    before = told.ask()
    told.job.move("2")
    after = told.ask()
    assert after["limits"] == before["limits"]
    kept, found = ((each["scheduling policy"], each["nice"]) for each in (before, after))
    assert kept == (os.SCHED_RR, -5)
    assert found == (kept if user == "root" else (os.SCHED_OTHER, 0))
    told.end()


def _names() -> list[str]:
    return [name for name, _outcome, _tested in _ROW.findall(_TABLE.read_text("utf-8"))]


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_memory_that_is_wiped_when_it_forks(three: list[Host], user: str) -> None:
    """It stays so; a criu that would lose it does not get the job."""
    told = Told(three[0], user, "memory advice, wipe on fork")
    before = told.ask()
    assert "wf" in before["memory advice, wipe on fork"]
    if version(Criu(find_criu()).version()) >= (4, 2):
        told.job.move("2")
        compare(before, told.ask(), documented())
    else:
        for word in ("", " dry-run"):
            said = ask(three[0], f"migrate {told.job.pid} 2{word}")
            assert (said.code, "wiped when it forks" in said.text) == (405, True), said.text
    told.end()


@pytest.mark.parametrize(("options", "kept"), [("-R", True), ("-L", True), ("-RL", True), ("-I", False)])
def test_personality(three: list[Host], options: str, kept: bool) -> None:
    """Where its memory lies goes along; another personality is named before anything stops."""
    told = Told(three[0], "nobody", under=("setarch", options))
    before = told.ask()["personality"]
    assert before != "00000000"
    if kept:
        told.job.move("2")
        assert told.ask()["personality"] == before
    else:
        for word in ("", " dry-run"):
            said = ask(three[0], f"migrate {told.job.pid} 2{word}")
            assert (said.code, "personality" in said.text) == (405, True), said.text
    told.end()


_LIMITED = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_CPU, (60, 100))
while time.process_time() < 2:
    pass
for line in sys.stdin:
    print(*resource.getrlimit(resource.RLIMIT_CPU), time.process_time(), flush=True)
"""


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_processor_time(three: list[Host], user: str) -> None:
    """What a limit allows is not allowed once more on each node."""
    job = Job(three[0], "-n", "1", "/usr/bin/python3", "-c", _LIMITED, user=user)
    allowed = [(60, 100)]
    for target in ("", "2", "3"):
        if target:
            job.move(target)
        job.write(b"tell\n")
        end = time.monotonic() + PATIENCE
        while job.out.count(b"\n") < len(allowed):
            assert time.monotonic() < end, job.err
            time.sleep(0.01)
        soft, hard, used = job.out.splitlines()[-1].split()
        allowed.append((int(soft), int(hard)))
        assert target or float(used) >= 2
    assert allowed[1] == (60, 100)
    assert allowed[2][0] in range(50, 60)
    assert allowed[2][1] - allowed[2][0] == 40
    assert allowed[3] in (allowed[2], (allowed[2][0] - 1, allowed[2][1] - 1))
    job.close()
    assert (job.wait(), job.err) == (0, b"")
