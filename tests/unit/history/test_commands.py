"""`[history] commands`: what is kept of command lines, in every kind of record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.trial.unittest import SynchronousTestCase

from gomd.history.commands import WithoutCommands, event_without_command
from gomd.history.none import NoneLog
from gomd.history.several import SeveralLogs
from gomd.interfaces import ISampleLog, RememberedTable
from libgomd.model import Event, EventKind, Job, Node, ProcessTable
from tests.unit.history.contract import EVENT, JOB, NODE, TABLE, SampleLogContract, process


class Kept(NoneLog):
    """Notes what it is given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def write_processes(self, node: Node, table: ProcessTable, hidden: bool, in_jobs: frozenset[str]) -> None:
        self.texts += [f"{each.name}|{each.command}" for each in table.processes]

    def write_event(self, event: Event, hidden: bool) -> None:
        self.texts.append(event.reason)

    def write_jobs(self, jobs: object, now: float) -> None:
        assert isinstance(jobs, list)
        self.texts += [job.command for job in jobs if isinstance(job, Job)]

    def write_remembered(self, table: RememberedTable) -> None:
        self.texts += [f"{each.name}|{each.command}" for each in table.processes]


SECRET = "/opt/bin/backup --password hunter2"


@pytest.mark.parametrize(("names", "program"), [(True, "backup"), (False, "")])
def test_no_record_has_a_command_line(names: bool, program: str) -> None:
    """Processes of this node and of others, jobs, and events of jobs; with the name of the program or not."""
    kept = Kept()
    log = WithoutCommands(kept, names)
    table = ProcessTable(1.0, (process(10, 1.0, SECRET, name="backup"),))
    log.write_processes(NODE, table, False, frozenset())
    log.write_processes(NODE, replace(table, taken_at=2.0), False, frozenset())
    log.write_remembered(RememberedTable(9, 9, 6.0, False, table.processes, frozenset()))
    log.write_jobs([replace(JOB, command=SECRET)], 5.0)
    log.write_event(replace(EVENT, reason=f"job 3 of alice: {SECRET}"), False)
    shown = f"{program}|{program}"
    assert kept.texts == [shown, shown, shown, program, f"job 3 of alice: {program}"]
    assert "hunter2" not in "".join(kept.texts)


@pytest.mark.parametrize(("names", "program"), [(True, "backup"), (False, "")])
def test_an_event_without_its_command_is_the_one_that_was_kept(names: bool, program: str) -> None:
    """So that it is not told twice, and another kind of event, or one without a command, is as it was."""
    event = replace(EVENT, reason=f"job 3 of alice: {SECRET}")
    bare = event_without_command(event, names)
    assert bare.reason == f"job 3 of alice: {program}"
    assert event_without_command(bare, names) == bare
    ended = replace(EVENT, kind=EventKind.ENDED, reason="job 3 of alice, exit 1: why")
    assert event_without_command(ended, names) is ended


class WithoutCommandsTests(SampleLogContract, SynchronousTestCase):
    """It is a log like any other."""

    def make_log(self) -> ISampleLog:
        return WithoutCommands(NoneLog(), names=True)


class SeveralTests(SampleLogContract, SynchronousTestCase):
    """`kind` with several stores, and what they keep of commands."""

    def make_log(self) -> ISampleLog:
        return SeveralLogs([NoneLog(), WithoutCommands(NoneLog(), names=False)])

    def test_each_store_gets_everything(self) -> None:
        """The second one too."""
        first, second = Kept(), Kept()
        SeveralLogs([first, second]).write_processes(NODE, TABLE, False, frozenset())
        self.assertEqual(first.texts, second.texts)
        self.assertEqual(len(first.texts), 2)
