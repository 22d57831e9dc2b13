"""Signals that a restore adds: found for every process and thread, and told from a job's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gomd.jobs.checkpoint import pending_signals
from libgomd.errors import CannotMove

TERM, USR1, CHLD, STOP, ALRM, RT3 = 1 << 14, 1 << 9, 1 << 16, 1 << 18, 1 << 13, 1 << 36


def process(proc: Path, pid: int, *threads: tuple[int, int], timers: str = "") -> None:
    """Make the files of a process: for each thread, what is pending for it and for the process."""
    for number, (own, shared) in enumerate(threads):
        thread = proc / str(pid) / "task" / str(pid + number)
        thread.mkdir(parents=True)
        (thread / "status").write_text(
            f"Name:\ta\\nSigPnd:\t{TERM:x}\nState:\tT (stopped)\nSigQ:\t0/1\nSigPnd:\t{own:016x}\n"
            f"ShdPnd:\t{shared:016x}\nSigBlk:\t{TERM:016x}\n".replace("\tSigPnd", "SigPnd")
        )
    (proc / str(pid) / "timers").write_text(timers)


def test_what_is_pending_for_any_thread_counts(tmp_path: Path) -> None:
    """A process that has ended is left out; names in other lines are not taken for a mask."""
    process(tmp_path, 300, (0, USR1), (RT3, USR1))
    process(tmp_path, 301, (0, 0))
    assert pending_signals.read([300, 301, 302], str(tmp_path)) == {300: USR1 | RT3, 301: 0}


@pytest.mark.parametrize("pending", [0, USR1, CHLD | STOP, ALRM, USR1 | CHLD])
def test_signals_that_were_there_before_or_come_by_themselves(tmp_path: Path, pending: int) -> None:
    """What was pending at the dump, the ends of children, stops and interval timers."""
    process(tmp_path, 300, (0, pending))
    pending_signals.check([300], {300: USR1}, str(tmp_path))


@pytest.mark.parametrize(("pending", "name"), [
    (TERM, "SIGTERM"), (1 << 8, "SIGKILL"), (RT3, "signal 37"), (USR1 | CHLD, "SIGUSR1"),
    (1 << 63, "signal 64|SIGRTMAX"),
])  # fmt: skip
def test_a_signal_of_the_restore(tmp_path: Path, pending: int, name: str) -> None:
    """Of any process, whatever was pending for another one."""
    process(tmp_path, 300, (0, 0))
    process(tmp_path, 301, (pending, 0))
    with pytest.raises(CannotMove, match=f"restore sent ({name}) to its process 301"):
        pending_signals.check([300, 301], {300: pending}, str(tmp_path))


def test_a_child_that_has_ended(tmp_path: Path) -> None:
    """criu lets it end by the signal that had ended it, which may still be noted."""
    process(tmp_path, 300, (0, 1 << 8))
    status = tmp_path / "300" / "task" / "300" / "status"
    status.write_text(status.read_text().replace("State:\tT (stopped)", "State:\tZ (zombie)"))
    pending_signals.check([300], {}, str(tmp_path))


def test_the_signal_of_a_timer_of_its_own(tmp_path: Path) -> None:
    """A POSIX timer that expires while the copy is held sends what it was made to send."""
    timers = "ID: 0\nsignal: 37/0000000000000000\nnotify: signal/pid.300\nClockID: 0\n"
    process(tmp_path, 300, (0, RT3), timers=timers)
    pending_signals.check([300], {}, str(tmp_path))
