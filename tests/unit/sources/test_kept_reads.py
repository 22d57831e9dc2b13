"""Files that are read every second stay open, and still give what the kernel has now."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gomd.sources.files import MAX_FILE_BYTES, ProcRoot
from gomd.sources.kept_reads import REOPEN_READS, KeptReads
from libgomd.errors import NotFound


class _Files:
    """Opens files of a directory, and notes which."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.opened: list[str] = []

    def open(self, path: str) -> int:
        self.opened.append(path)
        return os.open(self.place / path, os.O_RDONLY)


@pytest.fixture
def files(tmp_path: Path) -> _Files:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    return _Files(tmp_path)


def test_a_file_is_opened_once_and_read_anew(files: _Files) -> None:
    kept = KeptReads(files.open, 2)
    assert kept.read("a", 100) == b"one"
    (files.place / "a").write_bytes(b"three")
    assert kept.read("a", 100) == b"three"
    (files.place / "a").write_bytes(b"x" * 200_000)
    assert kept.read("a", MAX_FILE_BYTES) == b"x" * 200_000
    assert kept.read("a", 70_000) == b"x" * 70_000
    assert files.opened == ["a"]


def test_no_more_than_the_most_stay_open(files: _Files) -> None:
    kept = KeptReads(files.open, 1)
    assert [kept.read(path, 100) for path in "abab"] == [b"one", b"two", b"one", b"two"]
    assert files.opened == ["a", "b", "b"]


def test_a_file_that_was_replaced_is_seen_after_some_reads(files: _Files) -> None:
    """Such as one over which another file system is mounted later."""
    kept = KeptReads(files.open, 2)
    kept.read("a", 100)
    (files.place / "a").unlink()
    (files.place / "a").write_bytes(b"other")
    found = [kept.read("a", 100) for _ in range(REOPEN_READS + 1)]
    assert (found[0], found[-1]) == (b"one", b"other")
    assert files.opened == ["a", "a"]


def test_a_file_whose_group_is_gone_is_opened_again(files: _Files) -> None:
    """The kernel gives ENODEV for it; of a new group of that name there is a new one."""
    kept = KeptReads(files.open, 2)
    kept.read("a", 100)
    os.close(kept._open["a"].descriptor)  # the next read fails
    blind = os.open(files.place, os.O_RDONLY | os.O_DIRECTORY)
    kept._open["a"].descriptor = blind
    assert kept.read("a", 100) == b"one"
    assert files.opened == ["a", "a"]
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(blind)


def test_what_is_missing_is_told(files: _Files) -> None:
    with pytest.raises(FileNotFoundError):
        KeptReads(files.open, 2).read("c", 100)


def _forks(text: str) -> int:
    return int(text.split("\nprocesses ")[1].split()[0])


def test_the_kernel_s_own_values_are_those_of_now() -> None:
    """A process more is counted at the next read; what does not exist is told as ever."""
    root = ProcRoot("/proc")
    first = root.sample_text("stat")
    assert first.startswith("cpu ")
    subprocess.run([sys.executable, "-c", ""], check=True)
    assert _forks(root.sample_text("stat")) > _forks(first)
    assert root.read("net/dev").startswith(b"Inter-")
    with pytest.raises(NotFound):
        root.read("pressure/none")
