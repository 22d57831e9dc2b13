"""A job's user exchanges directories for links while the job moves: root's criu makes nothing behind them."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cluster.asking import eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job
from tests.integration.migration.test_refusals import refused

PYTHON = "/usr/bin/python3"
_HEAD = struct.Struct("iIII")
_CREATED, _NONBLOCKING = 0x100, 0o4000


class Watch:
    """What is made in a directory."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None)
        self._number = libc.inotify_init1(_NONBLOCKING)
        assert libc.inotify_add_watch(self._number, os.fsencode(path), _CREATED) >= 0

    def made(self) -> list[str]:
        """Return the names of what was made, and watch no more."""
        try:
            data = os.read(self._number, 1 << 16)
        except BlockingIOError:
            data = b""
        finally:
            os.close(self._number)
        found = []
        while data:
            *_, size = _HEAD.unpack_from(data)
            found.append(os.fsdecode(data[_HEAD.size : _HEAD.size + size].rstrip(b"\0")))
            data = data[_HEAD.size + size :]
        return found


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with ``ours``, the user's, and ``roots``."""
    path = Path(tempfile.mkdtemp(prefix="gomd-misled-", dir="/srv"))  # not what is the job's own
    path.chmod(0o755)
    for name in ("ours", "roots"):
        (path / name).mkdir(parents=True)
    os.chown(path / "ours", 65534, 65534)
    yield path
    shutil.rmtree(path)


_DELETED = """
import os, sys
file = open(sys.argv[1], "w+")
file.write("the user's")
file.flush()
os.unlink(sys.argv[1])
for link in sys.argv[2:]:
    os.rmdir(os.path.dirname(sys.argv[1]))
    os.symlink(link, os.path.dirname(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
file.seek(0)
print(file.read(), flush=True)
"""


def test_a_deleted_file(three: list[Host], place: Path) -> None:
    """criu makes it anew by its name, and would follow the user's link there: it gets another name."""
    own = place / "ours" / "own"
    own.mkdir()
    os.chown(own, 65534, 65534)
    job = Job(three[0], "-n", "1", PYTHON, "-c", _DELETED, str(own / "evil"), user="nobody", cwd="/")
    eventually(lambda: job.out == b"ready\n")
    own.rmdir()
    own.symlink_to(place / "roots")
    watch = Watch(place / "roots")
    job.tour()
    assert watch.made() == []
    job.write(b"\n")
    eventually(lambda: job.out == b"ready\nthe user's\n")


def test_a_deleted_file_behind_a_link_in_its_own_tmp(three: list[Host], place: Path) -> None:
    """The link moves along."""
    words = ("import os; os.mkdir('/tmp/own');" + _DELETED, "/tmp/own/evil", str(place / "roots"))
    job = Job(three[0], "-n", "1", PYTHON, "-c", *words, user="nobody", cwd="/")
    eventually(lambda: job.out == b"ready\n")
    watch = Watch(place / "roots")
    job.tour()
    assert watch.made() == []
    job.write(b"\n")
    eventually(lambda: job.out == b"ready\nthe user's\n")


def test_a_deleted_file_without_a_tmp_of_its_own(three: list[Host], place: Path) -> None:
    """There is no place for it."""
    own = place / "ours" / "evil"
    job = Job(three[0], "-n", "1", "--shared-tmp", PYTHON, "-c", _DELETED, str(own), user="nobody", cwd="/")
    eventually(lambda: job.out == b"ready\n")
    refused(job, "evil was deleted")


def test_a_set_id_program_behind_a_link_in_tmp(three: list[Host], place: Path) -> None:
    """In the job's view it has a path beside which the user may put anything: it has no rights there."""
    program = place / "roots" / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    link = Path(tempfile.mkdtemp(prefix="gomd-link-", dir="/tmp"))
    try:
        os.chown(link, 65534, 65534)
        (link / "roots").symlink_to(place / "roots")
        shown = link / "roots" / "id"
        for named in (shown, shown.parent):
            script = f"{shown} -un; readlink -f {shown}; {program} -un; cat"
            job = Job(three[0], "-n", "1", "sh", "-c", script, "sh", str(named), user="nobody", cwd="/")
            job.close()
            assert job.wait() == 0
            assert job.out.decode().splitlines() == ["nobody", str(shown), "root"]
    finally:
        shutil.rmtree(link)


def test_a_program_that_was_built_anew(three: list[Host], place: Path) -> None:
    """It is a deleted file, too, and mapped."""
    program = place / "ours" / "program"
    shutil.copy("/usr/bin/sleep", program)
    program.chmod(0o755)
    os.chown(program, 65534, 65534)
    job = Job(three[0], "-n", "1", str(program), "1000", user="nobody", cwd="/")
    program.unlink()
    program.mkdir()
    job.tour()
    assert not list(program.iterdir())
