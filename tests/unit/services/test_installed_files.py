"""A daemon that imports something later sees whether it is still of its own version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gomd.services.installed_files import InstalledFiles
from libgomd.errors import NotPossible


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a module and a package below it."""
    for path in ("part.py", "below/__init__.py", "below/other.py"):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text("value = 1\n")
    return tmp_path


def test_files_that_stay_are_those_of_the_start(package: Path) -> None:
    InstalledFiles([str(package)]).check()


def test_bytecode_and_other_files_do_not_count(package: Path) -> None:
    """Python writes its bytecode beside them whenever a module is first imported."""
    installed = InstalledFiles([str(package)])
    (package / "below" / "__pycache__").mkdir()
    (package / "below" / "__pycache__" / "other.cpython-311.pyc").write_bytes(b"")
    (package / "dropin.cache").write_text("")
    installed.check()


@pytest.mark.parametrize("change", ["edited", "replaced", "removed", "added"])
def test_other_files_are_told(package: Path, change: str) -> None:
    """An upgrade while the daemon runs."""
    installed = InstalledFiles([str(package)])
    file = package / "below" / "other.py"
    if change == "edited":
        file.write_text("value = 2 + 1\n")
    elif change == "replaced":  # by one of the same size
        before = file.stat()
        new = package / "new"
        new.write_text("value = 2\n")
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
        new.rename(file)
    elif change == "removed":
        file.unlink()
    else:
        (package / "below" / "third.py").write_text("")
    with pytest.raises(NotPossible, match="restart it"):
        installed.check()


def test_a_package_that_is_no_directory_never_changes(tmp_path: Path) -> None:
    """Such as one in a zip archive: nothing is known of it, and nothing is refused for that."""
    InstalledFiles([str(tmp_path / "archive.zip" / "gomd")]).check()


def test_a_module_is_loaded_once(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded stays so: an upgrade later does not matter to it."""
    monkeypatch.syspath_prepend(str(package.parent))
    (package / "__init__.py").write_text("")
    installed = InstalledFiles([str(package)])
    installed.load(f"{package.name}.part")
    (package / "part.py").write_text("value = 'another'\n")
    installed.load(f"{package.name}.part")
    with pytest.raises(NotPossible, match="restart it"):
        installed.load(f"{package.name}.below.other")


def test_files_that_are_replaced_while_they_are_read(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it is of another version: it is not used, at the next time either."""
    monkeypatch.syspath_prepend(str(package.parent))
    (package / "__init__.py").write_text("")
    (package / "late.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('part.py').write_text('value = 22\\n')\n"
    )
    installed = InstalledFiles([str(package)])
    for _time in (1, 2):
        with pytest.raises(NotPossible, match="restart it"):
            installed.load(f"{package.name}.late")
