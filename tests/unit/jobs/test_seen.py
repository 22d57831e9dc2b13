"""Processes of jobs in the table of all processes."""

from __future__ import annotations

from dataclasses import replace

from gomd.interfaces import JobHere
from gomd.jobs.seen import decorated, elsewhere
from libgomd.model import Job, JobState, Process

PROCESS = Process(
    node=2, home=2, pid=1, ppid=0, uid=0, user="root", state="S", nice=0, threads=1, cpu_percent=None,
    cpu_seconds=0.5, rss=4096, vsize=8192, start_time=1.0, where=0, nmigs=0, lock=False, cantmove="foreign",
    command="[x]", started=7,
)  # fmt: skip
GUEST = JobHere(1, 7, 300, 299, 1000, 1000, "make", 5_000_007, 2, True, "")


def test_a_guest_and_its_children_are_shown_under_their_home() -> None:
    """Its supervisor and everything else stay what they are."""
    processes = [
        replace(PROCESS, pid=pid, ppid=ppid)
        for pid, ppid in ((1, 0), (299, 1), (300, 299), (301, 300), (302, 301), (303, 1), (304, 299))
    ]
    found = {process.pid: process for process in decorated(processes, [GUEST], 2)}
    assert {pid for pid, process in found.items() if process.home == 1} == {300, 301, 302, 304}
    assert (found[302].where, found[302].nmigs, found[302].lock, found[302].cantmove) == (2, 2, True, "")
    assert found[303] == processes[5]


def test_without_jobs_nothing_changes() -> None:
    """The table is what the kernel says."""
    assert decorated([PROCESS], [], 2) == [PROCESS]


def test_how_home_shows_a_job_on_another_node() -> None:
    """With the numbers of that node when it answers, and there all the same when it does not."""
    job = Job(7, 1, 2, 5_000_007, "anna", JobState.RUNNING, None, "make", 1000, 9.0, nmigs=2, pid_there=300)
    seen = elsewhere(job, replace(PROCESS, pid=300, uid=1000))
    assert (seen.pid, seen.node, seen.home, seen.where, seen.rss) == (5_000_007, 2, 1, 2, 4096)
    silent = elsewhere(job, None)
    assert (silent.pid, silent.node, silent.state, silent.command) == (5_000_007, 2, "?", "make")
