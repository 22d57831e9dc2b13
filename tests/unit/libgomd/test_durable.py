"""Files that are written whole, and what is left when writing fails."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from libgomd.durable import create_atomically, create_exclusively, replace_atomically, replace_durably

Write = Callable[[str, bytes], None]
REPLACE: list[Write] = [replace_atomically, replace_durably]
CREATE: list[Write] = [create_exclusively, create_atomically]


@pytest.mark.parametrize("write", REPLACE + CREATE)
def test_a_new_file_is_whole_and_its_owners_alone(tmp_path: Path, write: Write) -> None:
    """Nothing else is left beside it."""
    write(str(tmp_path / "file"), b"new\n")
    assert (tmp_path / "file").read_bytes() == b"new\n"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert (tmp_path / "file").stat().st_nlink == 1
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("write", REPLACE)
def test_replacing_removes_what_a_crash_left_and_follows_no_link(tmp_path: Path, write: Write) -> None:
    """Neither the link at the name itself nor one beside it leads to another file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    for name in ("file", "file.new"):
        (tmp_path / name).symlink_to(victim)
    write(str(tmp_path / "file"), b"new")
    assert victim.read_bytes() == b"untouched"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert not (tmp_path / "file").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["file", "victim"]


@pytest.mark.parametrize("write", CREATE)
@pytest.mark.parametrize("there", ["file", "link", "dangling link", "directory"])
def test_creating_never_overwrites(tmp_path: Path, write: Write, there: str) -> None:
    """Whatever has the name keeps it."""
    path, other = tmp_path / "file", tmp_path / "other"
    if there == "file":
        path.write_bytes(b"old")
    elif there == "directory":
        path.mkdir()
    else:
        if there == "link":
            other.write_bytes(b"old")
        path.symlink_to(other)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(FileExistsError):
        write(str(path), b"new")
    assert sorted(os.listdir(tmp_path)) == before
    if there in ("file", "link"):
        assert path.read_bytes() == b"old"


@pytest.mark.parametrize("write", REPLACE)
def test_what_cannot_be_replaced_stays_as_it_was(tmp_path: Path, write: Write) -> None:
    """A directory at the name: the error is the kernel's, and the new file is removed again."""
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(str(tmp_path / "file"), b"new")
    assert os.listdir(tmp_path) == ["file"]


def test_a_mode_may_be_given(tmp_path: Path) -> None:
    """Whatever the umask is."""
    replace_atomically(str(tmp_path / "program"), b"#!/bin/true\n", mode=0o755)
    assert stat.S_IMODE((tmp_path / "program").stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_owner_may_be_given(tmp_path: Path) -> None:
    """The file of a daemon that runs as an ordinary user stays its own."""
    replace_durably(str(tmp_path / "file"), b"new", owner=(1234, 5678))
    found = (tmp_path / "file").stat()
    assert (found.st_uid, found.st_gid) == (1234, 5678)
