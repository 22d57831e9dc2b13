"""Where carried files can appear: only where the user could have put something."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pytest

import gomd.jobs.checkpoint
import gomd.jobs.supervisor
import libgomd.wire
from gomd.jobs.supervisor import carried_place
from gomd.jobs.supervisor.carried_place import obstacle

USER, GROUP = 54321, 54322


def why(path: Path | str) -> str:
    """Return why the user's files could not appear there."""
    return obstacle(str(path), USER, {GROUP}, "node 2 beta")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a new directory that everybody reaches."""
    with TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory that is not the user's, with others in it."""
    for name, uid, gid, mode in (
        ("own", USER, 0, 0o700), ("groups", 0, GROUP, 0o770), ("all", 0, 0, 0o777), ("sticky", 0, 0, 0o1777),
        ("closed", 0, 0, 0o755),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, uid, gid)
        os.chmod(tmp_path / name, mode)
        (tmp_path / name / "roots").touch(0o644)
    return tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="directories of other users are made by root")
def test_where_a_user_may_write(place: Path) -> None:
    """Missing files there, deep ones too, and files that the user may write or replace."""
    for name in ("own", "groups", "all", "sticky"):
        assert why(place / name / "new") == ""
        assert why(place / name / "new" / "deep" / "file") == ""
        assert why(place / name) == ""
    for name in ("own", "groups", "all"):
        assert why(place / name / "roots") == ""
    for name in ("sticky", "closed"):
        assert (
            why(place / name / "roots") == f"{place}/{name}/roots on node 2 beta is not the user's to replace"
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="directories of other users are made by root")
def test_what_is_in_a_closed_directory_is_not_told(place: Path) -> None:
    """Not even whether it is there; and what everybody may write in it is out of reach."""
    (place / "closed" / "all").mkdir()
    (place / "closed" / "all").chmod(0o777)
    (place / "closed").chmod(0o700)
    said = {why(place / "closed" / name).replace(name, "") for name in ("roots", "all", "all/new", "no-such")}
    assert len(said) == 1
    assert "Permission denied" in said.pop()


@pytest.mark.skipif(os.geteuid() != 0, reason="directories of other users are made by root")
def test_nothing_is_added_to_what_is_another_users(place: Path) -> None:
    """That user's programs, which the job may start with their rights, would read it."""
    assert why(place / "closed" / "new") == ""
    os.chown(place / "closed", USER + 1, GROUP)
    assert (
        why(place / "closed" / ".profile")
        == f"node 2 beta has no {place}/closed/.profile, and {place}/closed there is not the user's"
    )


def test_where_nobody_but_root_adds_anything() -> None:
    """A user's library or configuration never appears where programs of root look for theirs."""
    for path in (
        "/etc/ld.so.preload", "/etc/passwd", "/etc/no-such/x", "/usr/lib/no-such.so", "/usr/no-such/x",
        "/lib/no-such", "/opt/no-such/x", "/var/no-such/x", "/root/no-such", "/boot/no-such",
    ):  # fmt: skip
        assert why(path), path
        assert obstacle(path, 0, {0}, "node 2 beta") == ""
    assert why("/no-such-directory/x") == (
        "node 2 beta has no directory /no-such-directory: make it there, "
        "then /no-such-directory/x can be carried"
    )


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    """What a link of the user's leads to is judged, not the link."""
    os.symlink("/etc", tmp_path / "mine")
    assert (
        why(tmp_path / "mine" / "passwd")
        == f"{tmp_path}/mine/passwd on node 2 beta is not the user's to replace"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="directories of other users are made by root")
@pytest.mark.parametrize("package", [gomd.jobs.checkpoint, gomd.jobs.supervisor, libgomd, libgomd.wire])
def test_nothing_is_added_to_gomd_itself(package: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor is root's, sees what its job sees, and loads what it needs when it needs it."""
    monkeypatch.setattr(carried_place, "SYSTEM", ())  # it may be anywhere
    [directory] = package.__path__
    path = f"{directory}/frames.abi3.so"
    assert why(path) == f"node 2 beta has no {path}, and {directory} there is not the user's"
