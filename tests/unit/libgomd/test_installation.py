"""What a message tells somebody to do works for the way in which gomd was installed."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd import installation
from libgomd.installation import DEBIAN, Installation, InstalledBy, look

ROOT = Path(__file__).parents[3]
#: Words by which a command is one of a checkout or of pip: targets of the Makefile, and where programs lie.
_PHONY = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
assert _PHONY is not None
TARGETS = "|".join(sorted(map(re.escape, _PHONY[1].split()), key=len, reverse=True))
#: English that only looks like a target.
NOT_OF_A_CHECKOUT = re.compile(r"\bmake (?:man|run|help) ", re.IGNORECASE)
ELSEWHERE = re.compile(
    rf"\bmake (?:-C \S+ )?(?:{TARGETS})\b|\bpip3? install\b|\.venv\b|\bvenv\b|contrib/|get-criu"
)


def installed_by(kind: InstalledBy, is_service: bool = False) -> Installation:
    return {
        InstalledBy.PACKAGE: Installation(InstalledBy.PACKAGE, "/usr", "", is_service),
        InstalledBy.CHECKOUT: Installation(
            InstalledBy.CHECKOUT, "/home/ann/my gomd/.venv", "/home/ann/my gomd", is_service
        ),
        InstalledBy.PIP: Installation(InstalledBy.PIP, "/opt/gomd", "", is_service),
    }[kind]


def commands_of(found: Installation) -> list[str]:
    return [
        *map(found.libraries, DEBIAN), found.whole, found.newer_criu, found.install_unit, found.restart,
        *map(found.service, ("restart", "start", "enable --now")), found.page("hanging.md"),
    ]  # fmt: skip


@pytest.mark.parametrize("is_service", [True, False])
def test_under_packages_nothing_names_make_or_an_environment(is_service: bool) -> None:
    """apt, systemctl, and files that the packages have."""
    for command in commands_of(installed_by(InstalledBy.PACKAGE, is_service)):
        assert not re.search(r"\bmake\b|\bpip\b|venv|contrib/|/opt/", command), command
    rules = [*(ROOT / "packaging" / "debian").glob("*.install"), ROOT / "packaging" / "debian" / "gomd.docs"]
    shipped = {line for path in rules for line in path.read_text("utf-8").splitlines()}
    assert installed_by(InstalledBy.PACKAGE).newer_criu.removeprefix("sh /") in shipped
    assert "docs" in shipped  # as /usr/share/doc/gomd/docs


def test_under_pip_nothing_names_make_or_apt() -> None:
    """The wheel has the files that are named."""
    found = installed_by(InstalledBy.PIP)
    for command in commands_of(found):
        assert not re.search(r"\bmake\b|\bapt\b|contrib/", command), command
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    shipped = {Path(each).name for each in setup["options.data_files"]["share/gomd"].split()}
    named = re.findall(r"/opt/gomd/share/gomd/([\w.-]+)", f"{found.install_unit} {found.newer_criu}")
    assert set(named) == shipped
    assert all((ROOT / "contrib" / name).exists() for name in shipped)


def test_in_a_checkout_make_is_told_where() -> None:
    """Whatever directory one is in, and whatever its name."""
    found = installed_by(InstalledBy.CHECKOUT)
    assert shlex.split(found.newer_criu) == ["make", "-C", "/home/ann/my gomd", "criu"]
    assert shlex.split(found.install_unit)[:4] == ["make", "-C", "/home/ann/my gomd", "install-unit"]
    assert shlex.split(found.libraries("join"))[:4] == [
        "/home/ann/my gomd/.venv/bin/pip", "install", "-e", "/home/ann/my gomd[join]",
    ]  # fmt: skip


def test_every_extra_of_setup_cfg_can_be_asked_for() -> None:
    """But for those of developers, and for one that needs nothing."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert set(setup["options.extras_require"]) - {"dev", "docs", "http", "release"} == set(DEBIAN)


def test_a_service_that_is_there_is_not_installed_again() -> None:
    """`systemctl` alone mends where the unit is."""
    for kind in InstalledBy:
        assert installed_by(kind, is_service=True).service("restart") == "systemctl restart gomd"
        assert installed_by(kind).service("restart").endswith("&& systemctl restart gomd")


def test_where_this_lies_tells_how_it_was_installed(tmp_path: Path) -> None:
    """Debian's directory, a checkout with its Makefile, and anything else."""
    units = (str(tmp_path),)
    assert look("/usr/lib/python3/dist-packages/libgomd", "/usr", units).kind is InstalledBy.PACKAGE
    assert look("/usr/local/lib/python3.13/dist-packages/libgomd", "/usr", units).kind is InstalledBy.PIP
    here = look(str(ROOT / "libgomd"), "/somewhere", units)
    assert (here.kind, here.top) == (InstalledBy.CHECKOUT, str(ROOT))
    assert installation.installation().kind is InstalledBy.CHECKOUT
    assert not here.is_service
    (tmp_path / "gomd.service").touch()
    assert look(str(ROOT / "libgomd"), "/somewhere", units, str(tmp_path)).is_service
    assert not look(str(ROOT / "libgomd"), "/somewhere", units, str(tmp_path / "none")).is_service


def sentences() -> Iterator[tuple[str, str]]:
    """Every text of the programs but docstrings and the module that knows about installations."""
    for path in sorted(
        each for top in ("gom", "gomd", "libgomd", "twisted") for each in (ROOT / top).rglob("*.py")
    ):
        if path == ROOT / "libgomd" / "installation.py":
            continue
        tree = ast.parse(path.read_text("utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body and isinstance(node.body[0], ast.Expr)
        }  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def test_no_sentence_knows_one_way_of_installing_alone() -> None:
    """A command of make or pip comes from `libgomd.installation`; help may name it after that of Debian."""
    seen = 0
    for place, text in sentences():
        seen += 1
        for match in ELSEWHERE.finditer(text):
            is_help = "usage: " in text or "\n" in text
            before = text[max(0, match.start() - 60) : match.start()]
            named_both = match[0].startswith("pip") and "apt install" in before and is_help
            assert named_both or NOT_OF_A_CHECKOUT.search(text), f"{place}: {match[0]!r} in {text[:200]!r}"
    assert seen > 5000


def test_get_criu_takes_no_program_that_others_could_change(tmp_path: Path) -> None:
    """What it finds or unpacks runs as root."""
    if os.geteuid():
        return  # only root unpacks, and runs what is there
    prefix = tmp_path / "criu"
    prefix.mkdir()
    program = prefix / "criu"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\necho Version: 99.9\n")
    program.chmod(0o755)
    tmp_path.chmod(0o755)

    def get() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", str(ROOT / "contrib" / "get-criu"), str(prefix)],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    for path in (tmp_path, prefix, program):
        mode = path.stat().st_mode
        os.chown(path, 12345, 0)
        assert f"get-criu: {path} belongs to another user" in get().stderr
        os.chown(path, 0, 12345)
        for others in (0o020, 0o002):
            path.chmod(mode | others)
            assert "or others may write to it" in get().stderr
        path.chmod(mode)
        os.chown(path, 0, 0)
    assert not (tmp_path / "ran").exists()
    assert get().stdout == f"{program}\n"
