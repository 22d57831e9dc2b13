"""Threads and processes that share more or less than criu gives to their copies."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gomd.jobs.checkpoint import shared_state
from gomd.jobs.checkpoint.shared_state import DIRECTORY, FILES, UNDO, VM, reasons_to_stay

_STAT = "{pid} (a) b) S " + " ".join("0" for _ in range(34)) + " {end} 3\n"


class Kernel:
    """Which part of a thread is which; by default processes have their own, and their threads the same."""

    def __init__(self, proc: Path, processes: dict[int, tuple[int, ...]]) -> None:
        self.proc = proc
        self.pids = list(processes)
        self._leader = {thread: pid for pid, threads in processes.items() for thread in threads}
        self.parts: dict[tuple[int, int], int] = {}
        self.ended: set[int] = set()
        for pid, threads in processes.items():
            for thread in threads:
                (proc / str(pid) / "task" / str(thread)).mkdir(parents=True)
            (proc / str(pid) / "status").write_text("Name:\ta\nState:\tS (sleeping)\n")
            self.end_with(pid, 17)

    def end_with(self, pid: int, number: int) -> None:
        """Let a process end with this signal to its parent."""
        (self.proc / str(pid) / "stat").write_text(_STAT.format(pid=pid, end=number))

    def compare(self, kind: int, one: int, other: int) -> int:
        """Compare as kcmp(2) does."""
        if self.ended & {one, other}:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        first, second = (
            self.parts.get((kind, each), 0 if kind == UNDO else self._leader[each]) for each in (one, other)
        )
        return 0 if first == second else 1 if first < second else 2

    def reasons(self) -> list[str]:
        """Return why the processes stay; process 1 is their supervisor."""
        return list(reasons_to_stay(self.pids, 0, str(self.proc), self.compare))


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """Three processes, the first with two threads more."""
    return Kernel(tmp_path, {300: (300, 301, 302), 310: (310,), 320: (320,)})


def test_ordinary_processes_and_threads_move(kernel: Kernel) -> None:
    """Open files that two processes share are carried over, too."""
    kernel.parts[FILES, 310] = kernel.parts[FILES, 320] = 7
    assert kernel.reasons() == []


@pytest.mark.parametrize(("kind", "what"), [(FILES, "open files"), (DIRECTORY, "working directory")])
def test_a_thread_with_a_part_of_its_own(kernel: Kernel, kind: int, what: str) -> None:
    """Whichever thread it is."""
    kernel.parts[kind, 302] = 7
    [reason] = kernel.reasons()
    assert reason.startswith(f"one of its threads has {'' if kind == FILES else 'a '}{what}")


@pytest.mark.parametrize(("kind", "what"), [(VM, "memory"), (DIRECTORY, "working directory")])
def test_two_processes_that_share_a_part(kernel: Kernel, kind: int, what: str) -> None:
    """They need not be parent and child, nor next to each other."""
    kernel.parts[kind, 300] = kernel.parts[kind, 301] = kernel.parts[kind, 302] = kernel.parts[kind, 320] = 7
    [reason] = kernel.reasons()
    assert reason.startswith(f"two of its processes share their {what}")


def test_another_signal_of_the_end(kernel: Kernel) -> None:
    """Not that of the first process, whose parent is the supervisor."""
    kernel.end_with(300, 12)
    assert kernel.reasons() == []
    kernel.end_with(320, 12)
    assert kernel.reasons() == [
        "one of its processes ends with signal 12 to its parent instead of SIGCHLD (clone)"
    ]


def test_what_has_ended_meanwhile_says_nothing(kernel: Kernel) -> None:
    """Neither does what ended before and was not waited for."""
    kernel.parts[FILES, 302] = kernel.parts[VM, 320] = kernel.parts[VM, 310] = 7
    kernel.ended |= {302, 320}
    assert kernel.reasons() == []
    kernel.ended.clear()
    (kernel.proc / "320" / "status").write_text("Name:\ta\nState:\tZ (zombie)\n")
    kernel.parts.pop((FILES, 302))
    assert kernel.reasons() == []


def test_a_kernel_that_cannot_compare(kernel: Kernel) -> None:
    """It says nothing, and criu does not start on it."""

    def compare(_kind: int, _one: int, _other: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    assert list(reasons_to_stay(kernel.pids, 1, str(kernel.proc), compare)) == []


def test_the_real_kernel_knows_this_process() -> None:
    """It has what it has in common with itself."""
    try:
        assert shared_state.compare(VM, os.getpid(), os.getpid()) == 0
    except OSError as error:
        pytest.skip(f"kcmp: {error}")
