"""What the job changed comes home, what was changed there is kept, and merging again changes nothing."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from gomd.jobs.checkpoint.file_tree import Owners, Source, TreeLimits, Unpacker, pack_sources
from gomd.jobs.supervisor import carried_base
from gomd.jobs.supervisor.carried_base import Identity
from gomd.jobs.supervisor.carried_merge import Merge
from libgomd.errors import CannotMove

UID, GID = os.getuid(), os.getgid()
LIMITS = TreeLimits()


class Trip:
    """One carried path: ``home`` is where it lies, ``job`` the job's copy of it."""

    def __init__(self, top: Path, name: str) -> None:
        self.home, files = top / "home", top / "files"
        self.name = name
        self.home.mkdir(exist_ok=True)
        files.mkdir()
        self._lines: list[bytes] = []
        self._files = os.open(files, os.O_RDONLY | os.O_DIRECTORY)
        self._home = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY)
        self.job = files / "0"

    def take(self) -> None:
        """Copy the files to the job, as when it begins."""
        source = Source(b"0", self._home, os.fsencode(self.name))
        unpacker = Unpacker(self._files, UID, [GID], LIMITS)

        def seen(path: tuple[bytes, ...], found: os.stat_result | None) -> None:
            target = ""
            if found is not None and stat.S_ISLNK(found.st_mode):
                target = os.readlink(self.home / os.fsdecode(b"/".join(path[1:])))
            self._lines.append(carried_base.line(path, None if found is None else Identity.of(found, target)))

        for data in pack_sources([source], UID, LIMITS, owners=Owners.ADOPT, seen=seen, absent=0o644):
            unpacker.feed(data)
        unpacker.finish()

    def merge(self) -> tuple[list[str], list[str]]:
        """Bring them home; return notes and failures."""
        merge = Merge(carried_base.parse(self._lines), ".gomd-1-7", UID)
        staged = os.open(self.job, os.O_RDONLY | os.O_DIRECTORY)
        try:
            merge.merge(0, f"{self.home}/{self.name}", staged, self._home)
        finally:
            os.close(staged)
        return merge.notes, merge.failures

    def names(self) -> list[str]:
        """Return what is at home, each with its contents."""
        found = []
        for path in sorted(self.home.rglob("*")):
            content = f" -> {os.readlink(path)}" if path.is_symlink() else ""
            if path.is_file() and not path.is_symlink():
                content = f"={path.read_text()}"
            found.append(f"{path.relative_to(self.home)}{content}")
        return found

    def close(self) -> None:
        """Close what is open."""
        os.close(self._files)
        os.close(self._home)


@pytest.fixture
def tree(tmp_path: Path) -> Trip:
    """Return a directory of three files, which a job has."""
    (tmp_path / "home" / "d").mkdir(parents=True)
    trip = Trip(tmp_path, "d")
    for name in "abc":
        (trip.home / "d" / name).write_text(name)
    trip.take()
    return trip


def changes(top: Path) -> dict[Path, tuple[int, int]]:
    """Return of each file below ``top`` which it is, and when it was changed. Reading is none."""
    known = {path: path.stat() for path in top.rglob("*")}
    return {path: (each.st_ino, each.st_ctime_ns) for path, each in known.items()}


def test_what_the_job_left_is_not_touched(tree: Trip) -> None:
    """Whatever happened at home."""
    (tree.home / "d" / "a").write_text("changed")
    (tree.home / "d" / "b").unlink()
    before = changes(tree.home)
    assert tree.merge() == ([], [])
    assert changes(tree.home) == before


def test_changed_new_and_removed(tree: Trip) -> None:
    """Contents, modes, kinds and new directories come home, and what was removed is removed."""
    (tree.job / "d" / "a").write_text("A")
    (tree.job / "d" / "b").unlink()
    os.chmod(tree.job / "d" / "c", 0o600)
    new = tree.job / "d" / "new"
    new.mkdir()
    (new / "x").write_text("x")
    os.symlink("x", new / "link")
    os.mkfifo(new / "fifo")
    os.chmod(new, 0o750)
    assert tree.merge() == ([], [])
    expected = ["d", "d/a=A", "d/c=c", "d/new", "d/new/fifo", "d/new/link -> x", "d/new/x=x"]
    assert tree.names() == expected
    assert (tree.home / "d" / "c").stat().st_mode & 0o777 == 0o600
    assert (tree.home / "d" / "new").stat().st_mode & 0o777 == 0o750
    assert stat.S_ISFIFO((tree.home / "d" / "new" / "fifo").stat().st_mode)
    assert tree.merge() == ([], [])
    assert tree.names() == expected


@pytest.mark.parametrize(
    "how", ["contents", "same size and time", "replaced", "removed", "a directory", "a link"]
)
def test_what_changed_at_home_is_kept(tree: Trip, how: str) -> None:
    """The job's version stands beside it, also where the change can hardly be seen."""
    (tree.job / "d" / "a").write_text("job's")
    ours = tree.home / "d" / "a"
    old = ours.stat()
    ours.unlink() if how in ("replaced", "removed", "a directory", "a link") else ours.write_text("B")
    if how == "same size and time":
        os.utime(ours, ns=(old.st_atime_ns, old.st_mtime_ns))
    elif how == "replaced":
        ours.write_text("a")
        os.utime(ours, ns=(old.st_atime_ns, old.st_mtime_ns))
    elif how == "a directory":
        ours.mkdir()
    elif how == "a link":
        os.symlink("/etc/passwd", ours)
    before = os.lstat(ours) if how != "removed" else None
    for _twice in range(2):
        [note], failures = tree.merge()
        assert not failures
        assert note == (
            f"{ours} was changed here meanwhile and is kept: the job's version is {ours}.gomd-1-7"
        )
        assert (tree.home / "d" / "a.gomd-1-7").read_text() == "job's"
        if before is None:
            assert not os.path.lexists(ours)
        else:
            assert os.lstat(ours)[:7] == before[:7]


def test_the_same_change_at_both_ends_is_none(tree: Trip) -> None:
    """So an interrupted merge can be done again."""
    (tree.job / "d" / "a").write_text("same")
    (tree.home / "d" / "a").write_text("same")
    (tree.job / "d" / "n").write_text("n")
    (tree.home / "d" / "n").write_text("n")
    assert tree.merge() == ([], [])
    assert tree.names() == ["d", "d/a=same", "d/b=b", "d/c=c", "d/n=n"]


def test_removed_by_the_job_and_changed_at_home(tree: Trip) -> None:
    """It is kept, and that is said."""
    (tree.job / "d" / "a").unlink()
    (tree.home / "d" / "a").write_text("changed")
    notes, failures = tree.merge()
    assert (len(notes), failures) == (1, [])
    assert "changed here and removed by the job: it is kept" in notes[0]
    assert "d/a=changed" in tree.names()


def test_a_directory_that_the_job_removed(tmp_path: Path) -> None:
    """It goes, but not with what somebody has put into it meanwhile."""
    (tmp_path / "home" / "d" / "inner").mkdir(parents=True)
    (tmp_path / "home" / "d" / "inner" / "x").write_text("x")
    trip = Trip(tmp_path, "d")
    trip.take()
    shutil.rmtree(trip.job / "d" / "inner")
    (trip.home / "d" / "inner" / "mine").write_text("mine")
    notes, failures = trip.merge()
    assert (len(notes), failures) == (1, [])
    assert trip.names() == ["d", "d/inner", "d/inner/mine=mine"]
    (trip.home / "d" / "inner" / "mine").unlink()
    assert trip.merge() == ([], [])
    assert trip.names() == ["d"]


def test_a_file_that_becomes_a_directory(tree: Trip) -> None:
    """The job may change the kind of what it has."""
    (tree.job / "d" / "a").unlink()
    (tree.job / "d" / "a").mkdir()
    (tree.job / "d" / "a" / "x").write_text("x")
    assert tree.merge() == ([], [])
    assert tree.names() == ["d", "d/a", "d/a/x=x", "d/b=b", "d/c=c"]


def test_an_output_that_is_not_there_yet(tmp_path: Path) -> None:
    """It comes home when the job has written to it, also if it is empty then; else nothing does."""
    trip = Trip(tmp_path, "out")
    trip.take()
    assert (trip.job / "out").stat().st_size == 0
    assert trip.merge() == ([], [])
    assert trip.names() == []
    (trip.job / "out").write_text("")
    assert trip.merge() == ([], [])
    assert trip.names() == ["out="]


def test_nothing_is_written_through_a_link(tree: Trip, tmp_path: Path) -> None:
    """Somebody has put a link in the place of a directory at home: what it leads to stays as it is."""
    inner = tree.job / "d" / "sub"
    inner.mkdir()
    (inner / "x").write_text("evil")
    outside = tmp_path / "outside"
    outside.mkdir()
    os.symlink(outside, tree.home / "d" / "sub")
    notes, failures = tree.merge()
    assert (len(notes), failures) == (1, [])
    assert list(outside.iterdir()) == []
    assert (tree.home / "d" / "sub.gomd-1-7" / "x").read_text() == "evil"


def test_holes_and_times_come_home(tree: Trip) -> None:
    """A sparse file stays sparse, with the time at which the job has written it."""
    path = tree.job / "d" / "a"
    with open(path, "wb") as file:
        file.write(b"begin")
        file.seek(1 << 28)
        file.write(b"end")
    os.utime(path, ns=(7, 1_234_567_890_000_000_123))
    assert tree.merge() == ([], [])
    found = (tree.home / "d" / "a").stat()
    assert (found.st_size, found.st_mtime_ns) == ((1 << 28) + 3, 1_234_567_890_000_000_123)
    assert found.st_blocks * 512 < 1 << 20


def test_set_id_bits_do_not_come_home(tree: Trip) -> None:
    """A program that the job has made set-user-ID is none at home."""
    (tree.job / "d" / "a").write_text("#!/bin/sh\n")
    os.chmod(tree.job / "d" / "a", 0o6755)
    assert tree.merge() == ([], [])
    assert (tree.home / "d" / "a").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    "damage", [b"x\n", b"[]\n", b"7\n", b'[["0", "d"], 1]\n', b'[["0"], 1, 2, 3, 4, 5, 6, "x", ""]\n']
)
def test_a_damaged_base_is_an_error(damage: bytes) -> None:
    """Nothing is concluded from it."""
    with pytest.raises(CannotMove):
        carried_base.parse([damage])


def test_holes_are_not_compared(tree: Trip) -> None:
    """A file of terabytes without contents takes no time; one byte in it that differs is seen."""
    for place in (tree.home, tree.job):
        with (place / "d" / "a").open("r+b") as file:
            file.truncate(4 << 40)
            file.seek(3 << 40)
            file.write(b"same")
    assert tree.merge() == ([], [])
    assert not (tree.home / "d" / "a.gomd-1-7").exists()
    with (tree.job / "d" / "a").open("r+b") as file:
        file.seek(1 << 40)
        file.write(b"x")
    notes, failures = tree.merge()
    assert (len(notes), failures) == (1, [])
    assert (tree.home / "d" / "a.gomd-1-7").exists()
