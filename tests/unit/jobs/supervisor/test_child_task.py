"""What a child of the supervisor says, and what is said of one that says nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NoReturn

import pytest

from gomd.jobs.supervisor import child_task
from gomd.jobs.supervisor.child_task import ChildTask
from libgomd.errors import CannotMove

#: Seconds that no child here takes.
_LONG = 60.0


@pytest.fixture(autouse=True)
def plain_pids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pids that children get are root's to choose."""
    monkeypatch.setattr(child_task, "high_pids", nullcontext)


def _killed() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _refused() -> NoReturn:
    raise CannotMove("no")


def _slow() -> None:
    time.sleep(_LONG)


@pytest.mark.parametrize(
    ("work", "limit", "reason"),
    [
        (_killed, _LONG, "the process at work on it was killed"),
        (_slow, 0.01, "it took longer than 0.01 s"),
        (_refused, _LONG, "no"),
    ],
)
def test_why_there_is_no_result(work: Callable[[], Any], limit: float, reason: str) -> None:
    with pytest.raises(CannotMove) as caught:
        ChildTask(work, limit).wait()
    assert str(caught.value) == reason


def test_a_part_of_a_result_is_none() -> None:
    """A child that is killed while it writes has said nothing; its supervisor lives on."""
    task = ChildTask(lambda: "x" * (1 << 18), _LONG)
    task.feed()
    os.kill(task.pid, signal.SIGKILL)
    with pytest.raises(CannotMove, match="was killed"):
        task.wait()


def test_what_is_done_behind_a_result_does_not_keep_it() -> None:
    """It is told at once, and the child ends when that is done; also behind a refusal."""
    reading, writing = os.pipe()

    def wait() -> None:
        os.read(reading, 1)

    task = ChildTask(_refused, _LONG, wait)
    assert task.read_for(_LONG)
    assert os.waitpid(task.pid, os.WNOHANG) == (0, 0)
    os.write(writing, b"x")
    os.waitpid(task.pid, 0)
    with pytest.raises(CannotMove, match="no"):
        task.result()
    os.close(reading)
    os.close(writing)


def test_all_of_a_result_is_read() -> None:
    task = ChildTask(lambda: "x" * (1 << 18), _LONG)
    assert task.read_for(_LONG)
    os.waitpid(task.pid, 0)
    assert task.result() == "x" * (1 << 18)


def test_reading_has_a_limit() -> None:
    task = ChildTask(_slow, _LONG)
    assert not task.read_for(0.01)
    os.kill(task.pid, signal.SIGKILL)
    with pytest.raises(CannotMove, match="was killed"):
        task.wait()
