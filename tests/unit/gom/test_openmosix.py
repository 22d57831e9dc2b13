"""The old names as far as they are words: what a command line means, and where the programs are put."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gom.openmosix import install, mosrun, mps
from gom.openmosix.mosrun import Plan
from gom.openmosix.program import Failed


@pytest.mark.parametrize(
    ("argv", "plan"),
    [
        (["-l", "make", "-j4"], Plan("", False, False, ("make", "-j4"))),
        (["make"], Plan("", False, True, ("make",))),
        (["-c", "make"], Plan("", False, None, ("make",))),
        (["-c", "-L", "make"], Plan("", False, True, ("make",))),
        (["-3", "make"], Plan("3", False, True, ("make",))),
        (["-3", "-F", "-l", "make"], Plan("3", True, False, ("make",))),
        (["-h", "-k", "-c", "make"], Plan("h", False, None, ("make",))),
        (["-h", "-c", "make"], Plan("h", False, True, ("make",))),
        (["-j1-4,7", "make"], Plan("j1-4,7", False, True, ("make",))),
        (["-j", "1-4,7", "-lz", "make"], Plan("j1-4,7", False, False, ("make",))),
        (["-d", "900", "-t60", "make"], Plan("", False, None, ("make",))),
        (["-lcez", "--", "-odd", "-h"], Plan("", False, False, ("-odd", "-h"))),
    ],
)
def test_what_mosrun_is_asked_for(argv: list[str], plan: Plan) -> None:
    """The place, the lock as mosrun's manual has it, and the program with all its own options."""
    assert mosrun.parse(argv) == plan


@pytest.mark.parametrize(
    "argv",
    [[], ["-l"], ["-l", ""],
     ["-3", "-h", "make"], ["-l", "-L", "make"], ["-j", "make"], ["-j1-", "make"], ["-q", "make"],
     ["-d", "fast", "make"], ["-t"], ["--fast", "make"]],
)  # fmt: skip
def test_mosrun_says_its_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 1, as openMosix's; nothing is started."""
    with pytest.raises(Failed, match="usage: mosrun"):
        mosrun.parse(argv)


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        ([], mps.MpsOptions()),
        (["ax"], mps.MpsOptions(everybody=True, detached=True)),
        (["-a", "x"], mps.MpsOptions(everybody=True, detached=True)),
        (["-e", "--ominfo", "O#"], mps.MpsOptions(True, True, "--ominfo", "nmigs")),
        (["--sort", "node", "1", "22"], mps.MpsOptions(sort="node", pids=(1, 22))),
        (["Ow", "--ominfol"], mps.MpsOptions(layout="--ominfol", sort="node")),
    ],
)
def test_what_mps_is_asked_for(argv: list[str], options: mps.MpsOptions) -> None:
    """The letters of ps that choose processes, and openMosix's own options."""
    assert mps.parse(argv) == options


@pytest.mark.parametrize(
    "argv", [["--sort"], ["O"], ["Oq"], ["-z"], ["--"], ["-"], ["--ax"], ["12345678901"]]
)
def test_mps_says_its_usage(argv: list[str]) -> None:
    """What it does not know is said, never ignored."""
    with pytest.raises(Failed, match="usage: mps"):
        mps.parse(argv)


def test_terminals_have_the_names_that_ps_gives_them() -> None:
    """Numbers from the kernel's Documentation/admin-guide/devices.txt."""
    named = {0: "?", 136 << 8 | 3: "pts/3", 137 << 8: "pts/256", 4 << 8 | 1: "tty1", 4 << 8 | 64: "ttyS0",
             204 << 8 | 64: "204,64", 136 << 8 | 44 | 1 << 20: "pts/300"}  # fmt: skip
    assert {number: mps.terminal_name(number) for number in named} == named


def test_the_old_names_are_installed_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four programs that anybody may run; a second time they are renewed; removing leaves others alone."""
    where = tmp_path / "usr" / "bin"
    for _ in range(2):
        assert install.main([str(where)]) == 0
    assert sorted(os.listdir(where)) == ["migrate", "mosctl", "mosrun", "mps"]
    assert {stat.S_IMODE((where / name).stat().st_mode) for name in install.NAMES} == {0o755}
    done = subprocess.run([where / "mosrun", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: mosrun")
    (where / "other").touch()
    assert install.main(["remove", str(where)]) == 0
    assert os.listdir(where) == ["other"]
    assert capsys.readouterr().err == ""


def test_openmosix_own_tools_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mosctl that is not ours stays, nothing is installed beside it, and nothing of it is removed."""
    theirs = tmp_path / "mps"
    theirs.write_text("#!/bin/sh\n")
    assert install.main([str(tmp_path)]) == 1
    assert "mps is another program: nothing is installed" in capsys.readouterr().err
    assert install.main(["remove", str(tmp_path)]) == 0
    assert os.listdir(tmp_path) == ["mps"]


def test_an_interpreter_no_program_can_name(tmp_path: Path) -> None:
    """A path with a space cannot stand in a first line: said, instead of four programs that do not start."""
    with pytest.raises(OSError, match="cannot stand in the first line"):
        install.install(str(tmp_path), "/opt/my python/bin/python")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("argv", [[], ["a", "b"], ["remove"], ["--help"]])
def test_wrong_usage_of_the_installer(argv: list[str]) -> None:
    """Nothing is written into a directory nobody named."""
    assert install.main(argv) == 2


def test_the_old_names_need_the_standard_library_alone() -> None:
    """No twisted, no daemon: a command that people type has to start at once."""
    code = (
        "import sys; from gom.openmosix import migrate, mosctl, mosrun, mps;"
        "print(sorted({'twisted', 'zope', 'gomd', 'asyncio'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
