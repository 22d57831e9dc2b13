"""What the step that carries files says when it cannot be done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gomd.jobs.checkpoint.file_tree_codec import TreeRefused
from gomd.jobs.supervisor.carried_source import files_at_home
from gomd.jobs.supervisor.carrier import named_as_carried
from libgomd.wire.carry_messages import TAKE, CarrySpec

PATHS = ("/etc/shadow", "/home/ada/data", "/7")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0/shadow cannot be read: Permission denied", "/etc/shadow cannot be read: Permission denied"),
        ("1/data/in/a belongs to another user", "/home/ada/data/in/a belongs to another user"),
        ("2/7 is a device", "/7 is a device"),
        ("3/x is a device", "3/x is a device"),
        ("there are more than 10 files", "there are more than 10 files"),
        ("²/x is a device", "²/x is a device"),
    ],
)
def test_a_refusal_names_the_file_as_its_user_does(text: str, said: str) -> None:
    """Not as it stands in the stream, below the number of the path that it belongs to."""
    assert named_as_carried(text, PATHS) == said


def test_what_is_written_down_is_bounded(tmp_path: Path) -> None:
    """The file is root's: names that nobody else counts must not fill the disk."""
    here = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(15):
        os.mkdir(b"\xff" * 255, dir_fd=here)
        below = os.open(b"\xff" * 255, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    for number in range(3000):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    base = os.open(tmp_path / "base", os.O_CREAT | os.O_WRONLY)
    taken = str(tmp_path / os.fsdecode(b"\xff" * 255))
    spec = CarrySpec(TAKE, "/nowhere", os.getuid(), os.getgid(), (), (taken,), 0o22, 10_000, 1 << 20)
    with pytest.raises(TreeRefused, match="the names of its files have more than 64 MB"):
        for _piece in files_at_home(spec, base):
            pass
    assert os.fstat(base).st_size <= 64 << 20
    os.close(base)
