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
