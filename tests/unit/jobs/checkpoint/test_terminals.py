"""Which terminals of a job criu can carry over: seen from a tree of /proc, and from this process's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gomd.jobs.checkpoint import terminals
from libgomd.errors import CannotMove


def proc_with(tmp_path: Path, **opened: str) -> str:
    """Return a /proc in which process 7 has these files open, by names of descriptors like ``fd3``."""
    directory = tmp_path / "7" / "fd"
    directory.mkdir(parents=True)
    for name, target in opened.items():
        (directory / name.removeprefix("fd")).symlink_to(target)
    return str(tmp_path)


def test_a_job_without_terminals(tmp_path: Path) -> None:
    """Pipes and files have nothing to do with them; a process that has just ended has none."""
    proc = proc_with(tmp_path, fd0="pipe:[5]", fd1="/dev/null", fd2="/dev/ttyS0")
    assert not terminals.has_any([7, 8], proc)
    assert not terminals.uses_tty([7, 8], None, proc)
    assert terminals.reasons_to_stay([7, 8], False, proc) == []


@pytest.mark.parametrize("target", ["/dev/pts/3", "/dev/ptmx", "/dev/pts/ptmx", "/dev/tty"])
def test_a_job_with_one(tmp_path: Path, target: str) -> None:
    """An older version of gomd cannot take it."""
    assert terminals.has_any([7], proc_with(tmp_path, fd4=target))


def test_a_tty_that_cannot_be_looked_at(tmp_path: Path) -> None:
    """The process of that number does not exist: it counts as closed again, not as the job's."""
    proc = proc_with(tmp_path, fd4="/dev/tty")
    (tmp_path / "4194305").mkdir()
    (tmp_path / "7").rename(tmp_path / "4194305" / "x")
    (tmp_path / "4194305" / "x" / "fd").rename(tmp_path / "4194305" / "fd")
    assert terminals.opened_by_tty([4194305], proc) == set()


def test_the_terminal_behind_dev_tty() -> None:
    """It is recognised by its number, whatever name it was opened by; a child has it as its terminal."""
    pid, near = os.forkpty()
    if pid == 0:
        try:
            os.open("/dev/tty", os.O_RDWR)
            os.write(1, b"ready")
            os.read(0, 1)
        finally:
            os._exit(0)
    try:
        assert os.read(near, 5) == b"ready"
        own = int(os.readlink(f"/proc/{pid}/fd/0").rpartition("/")[2])
        assert terminals.opened_by_tty([pid]) == {own}
        assert terminals.uses_tty([pid], own)
        with pytest.raises(CannotMove, match="made itself"):
            terminals.uses_tty([pid], own + 1)
        with pytest.raises(CannotMove, match="made itself"):
            terminals.uses_tty([pid], None)
        assert not terminals.has_own(pid)
    finally:
        os.close(near)
        os.waitpid(pid, 0)


def test_a_terminal_open_as_dev_tty_only() -> None:
    """criu finds no place for it."""
    pid, near = os.forkpty()
    if pid == 0:
        try:
            kept, name = os.open("/dev/tty", os.O_RDWR), os.ttyname(0)
            for number in (0, 1, 2):
                os.close(number)
            os.write(kept, name.encode())
            os.read(kept, 1)
        finally:
            os._exit(0)
    try:
        own = int(os.read(near, 100).rpartition(b"/")[2])
        with pytest.raises(CannotMove, match="/dev/tty only"):
            terminals.uses_tty([pid], own)
    finally:
        os.close(near)
        os.waitpid(pid, 0)
