"""The processes of a job: which of them are alive, and how one is ended with all that it has begun."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gomd.jobs.checkpoint import inspection, process_tree
from gomd.jobs.checkpoint.process_tree import descendants, end, end_parent, wait_for
from libgomd.errors import CannotMove

#: Seconds in which a process that runs has done what it was told, or what was ended is gone.
_SOON = 5.0


class Parent:
    """A process that begins another one for each byte that it gets; all of them have the pipe ``held``."""

    def __init__(self) -> None:
        orders, self._orders = os.pipe()
        self._begun, begun = os.pipe()
        self.held, held = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for descriptor in (self._orders, self._begun, self.held):
                    os.close(descriptor)
                while os.read(orders, 1):
                    if os.fork() == 0:
                        os.close(orders)
                        os.close(begun)
                        signal.alarm(30)  # one that a test loses does not stay for good
                        while True:
                            signal.pause()
                    os.write(begun, b"b")
            finally:
                os._exit(0)
        for descriptor in (orders, begun, held):
            os.close(descriptor)

    def begin_one(self, limit: float = _SOON) -> bool:
        """Let it begin a process; return whether it has, in time."""
        os.write(self._orders, b"o")
        return _readable(self._begun, limit) and os.read(self._begun, 1) == b"b"

    def is_all_gone(self) -> bool:
        """Whether no process has the pipe any more."""
        return _readable(self.held, _SOON)

    def close(self) -> None:
        os.waitpid(self.pid, 0)
        for descriptor in (self._orders, self._begun, self.held):
            os.close(descriptor)


def _readable(descriptor: int, limit: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(limit * 1000))


@pytest.fixture
def parent() -> Iterator[Parent]:
    made = Parent()
    yield made
    for pid in reversed(descendants(made.pid)):
        os.kill(pid, signal.SIGKILL)
    made.close()


def test_it_begins_no_more_once_they_are_listed(parent: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that began between the list and the signal would be left for good, with the descriptors it has."""
    assert parent.begin_one()
    late = []

    def listed(pid: int, whole: bool = True) -> list[int]:
        found = descendants(pid, whole)
        late.append(parent.begin_one(limit=0.3))
        return found

    monkeypatch.setattr(process_tree, "descendants", listed)
    found = end_parent(parent.pid, _SOON)
    assert late == [False]
    assert process_tree.state(parent.pid) in process_tree.ENDED
    assert len(found) == 1
    end(found)
    assert parent.is_all_gone()


def test_what_began_before_is_returned_and_runs_on(parent: Parent) -> None:
    for _ in range(3):
        assert parent.begin_one()
    found = end_parent(parent.pid, _SOON)
    assert len(found) == 3
    assert not {process_tree.state(pid) for pid in found} & {*process_tree.ENDED, *process_tree.STOPPED}
    end(found)
    assert parent.is_all_gone()


def test_one_that_has_ended_is_no_error(parent: Parent) -> None:
    os.kill(parent.pid, signal.SIGKILL)
    assert end_parent(parent.pid, _SOON) == []


#: Starts children that end at once and looks at them until they have: prints what was wrong.
_ENDING = """
import os, time
from gomd.jobs.checkpoint.inspection import _strays
from gomd.jobs.checkpoint.process_tree import strays
wrong = 0
for _ in range(200):
    if (child := os.fork()) == 0:
        os._exit(0)
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG) is None:
        wrong += bool(_strays(0, os.getpid()))
print(wrong)
"""

#: Its first thread ends, another one goes on until it is told to end.
_HEADLESS = """
import ctypes, os, threading
threading.Thread(target=lambda: (os.write(1, b"up"), os.read(0, 1), os._exit(0))).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_fork_that_is_ending_is_no_stray() -> None:
    """It lets go of its program before its state says that it has ended."""
    told = subprocess.run([sys.executable, "-c", _ENDING], capture_output=True, text=True, check=True)
    assert told.stdout == "0\n"


def test_a_process_whose_first_thread_has_ended_is_alive() -> None:
    """It is shown as a zombie; as a job it stays, with the reason."""
    with subprocess.Popen(
        [sys.executable, "-c", _HEADLESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as headless:
        assert headless.stdin is not None
        assert headless.stdout is not None
        assert headless.stdout.read(2) == b"up"
        wait_for([headless.pid], _SOON)
        assert process_tree.state(headless.pid) == "Z"
        assert process_tree.is_alive(headless.pid)
        for look in (inspection.look_for_stays, lambda *words: inspection.look(words[0], words[1], "", "")):
            with pytest.raises(CannotMove, match="the first thread of one of its processes has ended"):
                look(headless.pid, os.getpid(), "")
        headless.stdin.close()
        headless.wait()
    assert not process_tree.is_alive(headless.pid)
