"""Directories and files that are one user's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from libgomd.private import (
    create_private,
    make_private_directory,
    on_the_way,
    open_private,
    open_private_directory,
    trusted_owners,
)

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_directory_is_made_with_those_above_it(tmp_path: Path) -> None:
    """All closed to others; again it is as it was."""
    path = tmp_path / "a" / "b"
    for _time in range(2):
        make_private_directory(str(path))
        assert (mode(path.parent), mode(path)) == (0o700, 0o700)


@pytest.mark.parametrize("found", [0o777, 0o1777, 0o770, 0o775])
def test_a_directory_that_others_write_to_is_refused_and_stays(tmp_path: Path, found: int) -> None:
    """It may be /tmp: a mode that others rely on is never changed."""
    path = tmp_path / "a"
    path.mkdir()
    path.chmod(found)
    with pytest.raises(OSError, match="others may write to it"):
        make_private_directory(str(path))
    assert mode(path) == found


@pytest.mark.parametrize("found", [0o711, 0o755, 0o700])
def test_what_its_user_allowed_for_reading_stays(tmp_path: Path, found: int) -> None:
    """Nobody else writes there."""
    path = tmp_path / "a"
    path.mkdir()
    path.chmod(found)
    make_private_directory(str(path))
    assert mode(path) == found


def test_a_link_is_no_directory(tmp_path: Path) -> None:
    """Wherever it leads, or to nothing."""
    (tmp_path / "there").mkdir()
    for target in ("there", "nothing"):
        link = tmp_path / f"link-{target}"
        link.symlink_to(tmp_path / target)
        with pytest.raises(OSError, match="symbolic link"):
            make_private_directory(str(link))
    assert not (tmp_path / "nothing").exists()


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    """A file, or nothing."""
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        make_private_directory(str(tmp_path / "file"))
    with pytest.raises(FileNotFoundError):
        open_private_directory(str(tmp_path / "none"))


@root_only
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    """Also when only its owner may write to it."""
    path = tmp_path / "a"
    path.mkdir(0o700)
    os.chown(path, 12345, 12345)
    with pytest.raises(OSError, match="user 12345"):
        make_private_directory(str(path))


def test_a_file_is_read_and_a_link_is_not(tmp_path: Path) -> None:
    """A link to the very file is refused as well; a fifo does not make the reader wait."""
    file = tmp_path / "file"
    file.write_text("text")
    with open(open_private(str(file))) as opened:
        assert opened.read() == "text"
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(OSError, match="symbolic link"):
        open_private(str(tmp_path / "link"))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="no plain file"):
        open_private(str(tmp_path / "fifo"))


@root_only
def test_a_file_of_another_user_is_not_read(tmp_path: Path) -> None:
    """Root's own and the daemon's are."""
    file = tmp_path / "file"
    file.write_text("text")
    os.chown(file, 12345, 12345)
    with pytest.raises(OSError, match="user 12345"):
        open_private(str(file))


def test_a_new_file_replaces_what_is_there(tmp_path: Path) -> None:
    """A link is removed, not followed; what it led to stays as it was."""
    precious = tmp_path / "precious"
    precious.write_text("keep")
    for path in (tmp_path / "link", tmp_path / "file", tmp_path / "new"):
        if path.name == "link":
            path.symlink_to(precious)
        elif path.name == "file":
            path.write_text("old")
        with open(create_private(str(path)), "w") as file:
            file.write("x")
        assert (path.read_text(), mode(path), path.is_symlink()) == ("x", 0o600, False)
    assert precious.read_text() == "keep"


def test_the_way_to_a_file_has_every_link_on_it(tmp_path: Path) -> None:
    """A link to a directory below another link: each is somebody's to change."""
    (tmp_path / "real" / "state").mkdir(parents=True)
    (tmp_path / "first").symlink_to("real")
    (tmp_path / "second").symlink_to(tmp_path / "first" / "state")
    way = [path for path, _found in on_the_way(str(tmp_path / "second"))]
    for name in ("", "second", "first", "real", "real/state"):
        assert str(tmp_path / name).rstrip("/") in way
    assert way[0] == "/"
    assert way[-1] == str(tmp_path / "real" / "state")
    up = [path for path, _found in on_the_way(str(tmp_path / "real" / ".." / "first" / "."))]
    assert up[-1] == str(tmp_path / "real")
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links"):
        list(on_the_way(str(tmp_path / "round")))
    with pytest.raises(FileNotFoundError):
        list(on_the_way(str(tmp_path / "none" / "x")))


def test_root_and_oneself_are_trusted() -> None:
    """And the owner that a user namespace shows for users it does not map."""
    assert {0, os.geteuid()} <= trusted_owners()
