"""A thread that comes back just when it is abandoned leaves out no process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gomd.sources.files import ProcRoot
from gomd.sources.linux.kept_files import KeptFiles
from gomd.sources.linux.process_reader import KnownProcess, ProcessReader
from gomd.sources.linux.process_visitor import OneScan, ProcessVisitor
from gomd.sources.linux.stuck import StuckProcesses
from gomd.sources.linux.stuck_reader import StuckReader
from gomd.sources.linux.walk import LastingWorker, Worker
from gomd.sources.usernames import UserNames
from libgomd.errors import NotFound

PIDS = (1, 2, 4711)
#: Seconds after which a thread that only waits for an event counts as hung; it hangs until it is let go.
HANGS = 0.01
PATIENCE = 20.0


class _ComesBack(Worker[KnownProcess]):
    """A worker that ends as soon as it is abandoned, before whoever abandons it does anything else."""

    def __init__(self, visit: Callable[[Worker[KnownProcess]], None], let_go: threading.Event) -> None:
        super().__init__(PIDS, visit)
        self.let_go = let_go

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "left" and value:
            self.let_go.set()
            self.join(PATIENCE)


def abandoned(root: Path, hangs: int, error: Exception | None = None) -> tuple[_ComesBack, int | None]:
    """Return a worker that comes back from process ``hangs`` when it is abandoned, and what `wait` gave."""
    reached, let_go = threading.Event(), threading.Event()

    def open_file(path: bytes, flags: int) -> int:
        if int(path.split(b"/")[-2]) == hangs:
            reached.set()
            let_go.wait(PATIENCE)
            if error is not None:
                raise error
        return os.open(path, flags)

    proc, stuck = ProcRoot(str(root)), StuckProcesses()
    reader = ProcessReader(proc, 7, frozenset, UserNames())
    reader.begin_scan(1000.0)
    visitor = ProcessVisitor(
        proc, reader, KeptFiles(0), stuck, StuckReader(proc, reader, stuck), open_file, os.pread
    )
    worker = _ComesBack(partial(visitor.visit, OneScan({}, {}, 1000.0, 995.0, False, 0)), let_go)
    worker.start()
    assert reached.wait(PATIENCE)
    hung = worker.wait(HANGS)
    assert worker.over
    return worker, hung


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    (tmp_path / "stat").write_text("btime 1000\nprocesses 5\n")
    for pid in PIDS:
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (sleep) S 0 " + "0 " * 48)
        (tmp_path / str(pid) / "cmdline").write_text("sleep")
    return tmp_path


@pytest.mark.parametrize("hangs", PIDS)
def test_what_it_has_not_visited_is_left_to_the_next_thread(root: Path, hangs: int) -> None:
    """The scan goes on with the process before which it has stopped, if there is one."""
    worker, hung = abandoned(root, hangs)
    visited = [*worker.found, *worker.gone]
    left = [] if hung is None else list(PIDS[PIDS.index(hung) :])
    assert [*visited, *left] == list(PIDS)
    assert visited[-1] == hangs


def test_an_error_with_which_it_comes_back_is_kept(root: Path) -> None:
    """It is the result, not a process that hangs."""
    worker, hung = abandoned(root, 2, NotFound("it has gone"))
    assert hung is None
    assert isinstance(worker.error, NotFound)


def test_the_same_thread_visits_again(root: Path) -> None:
    """Each time what it is told, until it is ended."""

    def visit(worker: Worker[int]) -> None:
        worker.found = {pid: threading.get_ident() for pid in worker.pids}

    worker: LastingWorker[int] = LastingWorker((1, 2), visit)
    worker.start()
    assert worker.wait(PATIENCE) is None
    assert set(worker.found) == {1, 2}
    before = set(worker.found.values())
    worker.again((3,), visit)
    assert worker.wait(PATIENCE) is None
    assert (set(worker.found), set(worker.found.values())) == ({3}, before)
    worker.end()
    worker.join(PATIENCE)
    assert not worker.is_alive()
