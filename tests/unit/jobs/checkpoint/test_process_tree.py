"""A process is ended with all that it has begun."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator

import pytest

from gomd.jobs.checkpoint import process_tree
from gomd.jobs.checkpoint.process_tree import descendants, end, end_parent

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
