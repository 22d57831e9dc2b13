"""What a node says of its files to another one: no more than the user may know, and in bounded time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gomd.jobs.checkpoint.content import Budget
from gomd.jobs.checkpoint.file_counterparts import describe_here
from gomd.jobs.checkpoint.file_facts import FileReader
from gomd.jobs.checkpoint.probes import Rights
from gomd.jobs.checkpoint.same_file import FileRequirement

USER = Rights(54321, 54321)


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a new directory that everybody reaches."""
    with TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


def described(
    file: FileRequirement, most: int = 1 << 20, rights: Rights | None = None
) -> FileRequirement | None:
    """Return what this node says of a file."""
    return describe_here(file, FileReader(Budget(most, 1000.0)), (), rights)


def test_how_much_is_read(place: Path) -> None:
    """Of a file of another size nothing, and of others no more whole than the budget allows."""
    (place / "huge").touch()
    os.truncate(place / "huge", 4 << 40)
    for size, seen in ((7, False), (4 << 40, True)):
        found = described(FileRequirement(str(place / "huge"), size, whole=True))
        assert found is not None
        assert (bool(found.digest), found.whole, found.size) == (seen, not seen, 4 << 40)
    (place / "small").write_bytes(bytes(1000))
    for most, whole in ((1000, True), (999, False)):
        found = described(FileRequirement(str(place / "small"), 1000), most)
        assert found is not None
        assert (bool(found.digest), found.whole) == (True, whole)


@pytest.mark.skipif(os.geteuid() != 0, reason="files of other users are made by root")
def test_what_a_user_may_not_have(place: Path) -> None:
    """Not its size, content and time; and in a closed directory not even that it is there."""
    (place / "secret").write_text("1234")
    (place / "secret").chmod(0o600)
    (place / "closed").mkdir(0o700)
    (place / "closed" / "file").touch()
    guess = FileRequirement(str(place / "secret"), 4, digest="guess")
    known = (place / "secret").stat()
    untold = FileRequirement(
        str(place / "secret"), 0, denied=True, inode=known.st_ino, device=known.st_dev
    )  # fmt: skip
    assert described(guess, rights=USER) == untold
    for name in ("file", "no-such"):
        path = str(place / "closed" / name)
        assert described(FileRequirement(path, 4), rights=USER) == FileRequirement(path, 0, denied=True)
    assert described(FileRequirement(str(place / "no-such"), 4), rights=USER) is None
    (place / "secret").chmod(0o644)
    found = described(guess, rights=USER)
    assert found is not None
    assert (found.size, found.denied, found.digest not in ("", "guess")) == (4, False, True)
