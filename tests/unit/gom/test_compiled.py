"""Which gomrun `gom run` becomes."""

from __future__ import annotations

import os
from pathlib import Path

from gom.compiled import find


def placed(directory: Path, version: str = "1.2", mode: int = 0o755) -> Path:
    """Put a program there, as `make install` does."""
    directory.mkdir(exist_ok=True)
    program = directory / f"gomrun-{version}"
    program.write_text("")
    program.chmod(mode)
    return program


def test_the_first_of_the_same_version(tmp_path: Path) -> None:
    """Another version speaks of other options: it is passed over, wherever it stands."""
    placed(tmp_path / "one", "1.1")
    program = placed(tmp_path / "two")
    placed(tmp_path / "three")
    places = [str(tmp_path / name) for name in ("none", "one", "two", "three")]
    assert find(places, os.geteuid(), "1.2") == str(program)
    assert find(places, os.geteuid(), "1.3") == ""
    assert find([], os.geteuid()) == ""


def test_what_others_could_have_changed(tmp_path: Path) -> None:
    """It would get the caller's whole environment, so it has to be root's or the caller's own."""
    assert find([str(placed(tmp_path / "a", mode=0o775).parent)], os.geteuid(), "1.2") == ""
    assert find([str(placed(tmp_path / "b", mode=0o757).parent)], os.geteuid(), "1.2") == ""
    (tmp_path / "c" / "gomrun-1.2").mkdir(parents=True)
    assert find([str(tmp_path / "c")], os.geteuid(), "1.2") == ""
    program = placed(tmp_path / "d")
    assert find([str(program.parent)], os.geteuid(), "1.2") == str(program)
    if os.geteuid() == 0:
        os.chown(program, 65534, 65534)
        assert find([str(program.parent)], 1000, "1.2") == ""
        assert find([str(program.parent)], 65534, "1.2") == str(program)


def test_where_others_could_put_another_one(tmp_path: Path) -> None:
    """No directory on the way may be another's, or changed by others; a sticky one is good."""
    program = placed(tmp_path / "in")
    (tmp_path / "link").mkdir()
    link = tmp_path / "link" / "gomrun-1.2"
    link.symlink_to(program)

    def are_found() -> tuple[bool, ...]:
        found = (find([str(each.parent)], os.geteuid(), "1.2") for each in (program, link))
        return tuple(each == str(program) for each in found)

    assert are_found() == (True, True)
    for mode, found in ((0o757, False), (0o1777, True), (0o755, True)):
        program.parent.chmod(mode)
        assert are_found() == (found, found), oct(mode)
    own_group = os.stat(program.parent).st_gid == os.geteuid()
    program.parent.chmod(0o775)
    assert are_found() == (own_group, own_group)
    program.parent.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(program.parent, -1, 50)
        program.parent.chmod(0o775)
        assert are_found() == (False, False), "members of a group"
        os.chown(program.parent, 65534, 0)
        program.parent.chmod(0o755)
        assert are_found() == (False, False), "another user's directory"
