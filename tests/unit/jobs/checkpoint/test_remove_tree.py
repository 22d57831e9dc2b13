"""Trees of files are removed whole, however they were made, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gomd.jobs.checkpoint.remove_tree import remove_tree


def test_what_is_in_it(tmp_path: Path) -> None:
    """Links are removed, not followed; names that the removal itself uses are no hindrance."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    tree = tmp_path / "tree"
    (tree / "a/b/removing.0/c").mkdir(parents=True)
    (tree / "removing.0/x").mkdir(parents=True)
    (tree / "removing.1").write_text("x")
    (tree / "a/link").symlink_to(kept)
    (tree / "a/b/away").symlink_to("../../../kept/file")
    os.mkfifo(tree / "a/pipe")
    remove_tree(str(tree))
    assert not tree.exists()
    assert (kept / "file").read_text() == "mine"


def test_a_deep_tree(tmp_path: Path) -> None:
    """Deeper than paths, recursion and open files reach."""
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(1500):
        os.mkdir("d" * 20, dir_fd=here)
        below = os.open("d" * 20, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_tree(str(tree))
    assert not tree.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a process of another user is started by root")
def test_who_goes_on_making_files(tmp_path: Path) -> None:
    """A process of the user's that has directories open can make nothing in them once they are removed."""
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    for path in (tree, tree / "below"):
        os.chown(path, 54321, 54321)
    held = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (tree, tree / "below")]
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(54321, 54321, 54321)
            refused = 0
            for number in range(10**9):
                try:
                    os.mkdir(f"{number}", dir_fd=held[number % 2])
                    refused = 0
                except OSError:
                    refused += 1
                if refused > 1000:
                    os._exit(0)
        finally:
            os._exit(1)
    remove_tree(str(tree))
    assert not tree.exists()
    assert os.waitpid(pid, 0)[1] == 0
    for descriptor in held:
        os.close(descriptor)


def test_what_is_no_directory(tmp_path: Path) -> None:
    """A link is removed; what is not there is no error, also without its directory."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    remove_tree(str(tmp_path / "link"))
    assert os.listdir(tmp_path) == ["kept"]
    remove_tree(str(tmp_path / "nothing"))
    remove_tree(str(tmp_path / "nothing/below"))


def test_what_cannot_be_removed() -> None:
    """It is said."""
    with pytest.raises(PermissionError):
        remove_tree("/proc/self/task")
