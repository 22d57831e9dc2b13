"""The packaging agrees with the rest: versions, dependencies, and that every file is in some package."""

from __future__ import annotations

import configparser
import datetime
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from contrib.release import PLACES, release
from libgomd.version import VERSION

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "packaging" / "debian"
PLACES_HERE = {name: pattern for name, pattern in PLACES.items() if (ROOT / name).exists()}
#: What Debian calls the libraries of setup.cfg.
DEBIAN_NAMES = {
    "Twisted[tls]": "python3-twisted", "zope.interface": "python3-zope.interface",
    "configobj": "python3-configobj", "cbor2": "python3-cbor2", "cryptography": "python3-cryptography",
    "pyOpenSSL": "python3-openssl",
}  # fmt: skip
#: The versions in Debian 13, which no lower bound may be above.
IN_DEBIAN_13 = {
    "Twisted[tls]": "24.11", "Twisted[conch]": "24.11", "zope.interface": "7.2", "configobj": "5.0.9",
    "cbor2": "5.6.5", "cryptography": "43", "pyOpenSSL": "25.0", "prometheus_client": "0.21",
    "textual": "2.1", "pygal": "3.0.5", "psycopg[binary]": "3.2.6", "spake2": "0.9",
    "msgpack": "1.0.3",
}  # fmt: skip
#: Parts of gomd whose libraries Debian does not have.
NOT_IN_DEBIAN = ("swim", "gpu", "mount")


def setup() -> configparser.ConfigParser:
    """The settings of setuptools."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def required(text: str) -> dict[str, tuple[int, ...]]:
    """Lower bounds by the name of the library."""
    found = re.findall(r"^([A-Za-z][\w.\[\]-]*)>=([0-9.]+)", text, re.MULTILINE)
    return {name: numbers(version) for name, version in found}


def numbers(version: str) -> tuple[int, ...]:
    """A version as it is compared."""
    return tuple(map(int, version.strip(".").split(".")))


def field(text: str, name: str) -> str:
    """A field of a paragraph of debian/control."""
    match = re.search(rf"^{name}:(.*(?:\n[ ].*)*)", text, re.MULTILINE)
    return match[1] if match else ""


def packages() -> dict[str, str]:
    """The paragraphs of debian/control that are packages."""
    paragraphs = (DEBIAN / "control").read_text("utf-8").split("\n\n")
    return {field(each, "Package").strip(): each for each in paragraphs if each.startswith("Package:")}


def tracked(*below: str) -> list[str]:
    """The files of the checkout, without what was built in it."""
    found = []
    for top in below:
        for where, names, files in os.walk(ROOT / top):
            names[:] = [name for name in names if name not in ("__pycache__", "build")]
            found += [str(Path(where, name).relative_to(ROOT)) for name in files]
    return found


def test_one_version_everywhere() -> None:
    """`make release` writes it to each place; the first entry of NEWS is this version's or the next one's."""
    for name, pattern in PLACES_HERE.items():
        assert re.findall(pattern, (ROOT / name).read_text("utf-8"), re.MULTILINE) == [VERSION], name
    changelog = (DEBIAN / "changelog").read_text("utf-8")
    assert changelog.startswith(f"gomd ({VERSION}) ")
    assert re.search(rf"^{re.escape(VERSION)} \(.*\)$", (ROOT / "NEWS.rst").read_text("utf-8"), re.MULTILINE)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout as far as a release changes it."""
    for name in (*PLACES_HERE, "packaging/debian/changelog", "NEWS.rst"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    news = tmp_path / "NEWS.rst"
    heading = f"{VERSION} (not released yet)"
    news.write_text(f"News\n====\n\n{heading}\n{'-' * len(heading)}\n\n- It does something.\n")
    return tmp_path


def test_a_release_writes_its_version_and_date(copy: Path) -> None:
    """A second one of the same news is refused, and so is an older or misspelt version."""
    day = datetime.date(2027, 1, 2)
    before = {path: path.read_text("utf-8") for path in copy.rglob("*") if path.is_file()}
    for wrong in ("0.0.1", "1.0", "1.0.0rc1", "", "1.0.0\n"):
        with pytest.raises(SystemExit):
            release(copy, wrong, day)
    assert {path: path.read_text("utf-8") for path in before} == before
    assert set(release(copy, "12.3.4", day)) == {*PLACES_HERE, "packaging/debian/changelog", "NEWS.rst"}
    for name, pattern in PLACES_HERE.items():
        assert re.findall(pattern, (copy / name).read_text("utf-8"), re.MULTILINE) == ["12.3.4"], name
    news = (copy / "NEWS.rst").read_text("utf-8")
    assert "\n12.3.4 (2027-01-02)\n-------------------\n\n- It does something.\n" in news
    changelog = (copy / "packaging/debian/changelog").read_text("utf-8")
    assert changelog.startswith("gomd (12.3.4) unstable")
    assert "Sat, 02 Jan 2027 12:00:00 +0000" in changelog
    assert f"\n\ngomd ({VERSION}) unstable" in changelog
    with pytest.raises(SystemExit, match="nothing to release"):
        release(copy, "12.3.5", day)


def test_the_first_release_has_one_entry(copy: Path) -> None:
    """The entry that was there for the packages before it is replaced."""
    release(copy, VERSION, datetime.date(2027, 1, 2))
    assert (copy / "packaging/debian/changelog").read_text("utf-8").count(f"gomd ({VERSION})") == 1


def test_debian_13_has_what_is_required() -> None:
    """No lower bound is above Debian's version, but those of parts that Debian cannot have."""
    parser = setup()
    extras = parser["options.extras_require"]
    parts = [extras[name] for name in extras if name not in (*NOT_IN_DEBIAN, "dev", "docs", "release")]
    for text in (parser["options"]["install_requires"], *parts):
        for name, bound in required(text).items():
            assert bound <= numbers(IN_DEBIAN_13[name]), f"{name} is older in Debian 13"


def test_the_packages_depend_on_what_setup_cfg_requires() -> None:
    """The daemon's by its metadata, and at the build, where it is imported; the rest is recommended."""
    names = required(setup()["options"]["install_requires"])
    build = field((DEBIAN / "control").read_text("utf-8"), "Build-Depends")
    for name in names:
        # twisted itself depends on zope.interface
        assert DEBIAN_NAMES[name] in build or name == "zope.interface", name
    assert "${python3:Depends}" in field(packages()["gomd"], "Depends")
    assert "kinship" not in field(packages()["gomd"], "Depends") + field(packages()["gomd"], "Recommends")


def test_every_file_is_in_some_package() -> None:
    """Folders of Python, the manual pages, and the data files that setup.cfg names."""
    parser = setup()
    installed = [
        line.removeprefix("usr/lib/python3*/dist-packages/")
        for path in DEBIAN.glob("*.install")
        for line in path.read_text("utf-8").splitlines()
    ]
    folders = [each for each in parser["options.packages.find"]["include"].split() if not each.endswith("*")]
    for folder in folders:
        place = folder.replace(".", "/")
        assert any(place == each or each.startswith(f"{place}/") for each in installed), folder
    for folder in ("gom", "gomd", "libgomd"):
        patterns = [each.strip(",") for each in parser["options.package_data"][folder].split()]
        for name in tracked(folder):
            inside = name.partition("/")[2]
            if not name.endswith((".py", ".pyc")):
                assert any(fnmatch(inside, each) for each in patterns), f"{name} is in no wheel"
    pages = list((ROOT / "packaging" / "man").iterdir())
    shown = [line for path in DEBIAN.glob("*.manpages") for line in path.read_text("utf-8").split()]
    for page in pages:
        assert any(page.match(each) for each in shown), page.name
    assert {path.stem for path in DEBIAN.glob("*.install")} <= set(packages())


def test_the_unit_of_the_package_is_the_shipped_one() -> None:
    """It differs in the program alone, which is Debian's twistd3."""
    unit = subprocess.run(
        ["sed", "-f", DEBIAN / "unit.sed", ROOT / "contrib" / "gomd.service"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    shipped = (ROOT / "contrib" / "gomd.service").read_text("utf-8")
    ours = [line for line in unit.splitlines() if line and not line.startswith("#")]
    theirs = [line for line in shipped.splitlines() if line and not line.startswith("#")]
    changed = [
        line.replace("/opt/gomd/bin:", "").replace("/usr/bin/env twistd", "/usr/bin/twistd3")
        for line in theirs
    ]
    assert ours == changed
    assert unit.count("/usr/bin/twistd3 ") == 2
    assert "/opt/gomd" not in unit


def test_the_functions_of_the_library_in_c_are_those_of_its_package() -> None:
    """
    The version script, which says what the library exports, and the symbols file of libgomd0 have the same.

    A new function gets a line there with the next version; one that is gone needs another soname.
    """
    script = (ROOT / "clients/c/libgomd.map").read_text("utf-8")
    node, exported = re.match(r"(\w+) \{\s+global:\s+(.*?)\s+local: \*;", script, re.DOTALL).groups()  # type: ignore[union-attr]
    functions = [each.strip() for each in exported.split(";") if each.strip()]
    first, *lines = (DEBIAN / "libgomd0.symbols").read_text("utf-8").splitlines()
    listed = [line.split()[0] for line in lines]
    assert listed == sorted(f"{each}@{node}" for each in (node, *functions))
    assert all(numbers(line.split()[1]) <= numbers(VERSION) for line in lines)
    makefile = (ROOT / "clients/c/Makefile").read_text("utf-8")
    assert f"SONAME := {first.split()[0]}\n" in makefile
    assert first.split()[:2] == ["libgomd.so.0", "libgomd0"]


@pytest.mark.parametrize("name", ["debian/rules", "make-deb", "test-debian"])
def test_what_is_run_is_executable(name: str) -> None:
    """And the scripts of packages are good shell."""
    assert os.access(ROOT / "packaging" / name, os.X_OK)


@pytest.mark.parametrize("script", ["debian/gomd.preinst", "debian/gomd.postrm", "make-deb", "test-debian"])
def test_scripts_can_be_read_by_a_shell(script: str) -> None:
    """Without running them."""
    subprocess.run(["sh", "-n", ROOT / "packaging" / script], check=True)


def test_a_purge_ends_supervisors_and_what_is_below_them(tmp_path: Path) -> None:
    """A shell in the directory of a job is left alone: it may be the one that purges."""
    (tmp_path / "jobs" / "1-1").mkdir(parents=True)
    (tmp_path / "lock").touch()
    script = (ROOT / "packaging/debian/gomd.postrm").read_text().partition("end_jobs() {")[0]
    script = script.replace("/var/lib/gomd", str(tmp_path)).replace("/sys/fs/cgroup", str(tmp_path / "none"))
    begin = "import sys; open('/proc/self/comm', 'w').write(sys.argv[1]); import subprocess as s; "
    begin += "child = s.Popen(['cat']); print(child.pid, flush=True); child.wait()"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", begin, name], cwd=tmp_path / "jobs" / "1-1", text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for name in ("gomd-job", "sh")
    ]  # fmt: skip
    try:
        supervisor, program = running[0].pid, int(running[0].stdout.readline())  # type: ignore[union-attr]
        running[1].stdout.readline()  # type: ignore[union-attr]
        found = subprocess.run(
            ["sh", "-c", f"{script}\nprocesses_of_jobs"], capture_output=True, text=True, check=True,
            cwd=tmp_path / "jobs" / "1-1",
        )  # fmt: skip
    finally:
        for each in running:
            each.communicate(timeout=30)
    assert sorted(map(int, found.stdout.split())) == sorted([supervisor, program])


@pytest.mark.parametrize("is_mounted", [False, True])
def test_a_purge_removes_settings_and_state(tmp_path: Path, is_mounted: bool) -> None:
    """A STATE that is a mount point is emptied, which is no error: the package is gone all the same."""
    state, tools = tmp_path / "srv" / "gomd-state", tmp_path / "tools"
    for directory in (state, tools, *(tmp_path / name for name in ("etc/gomd", "var/lib", "run/gomd"))):
        directory.mkdir(parents=True)
    for file in (state / "lock", tmp_path / "etc/gomd/key", tmp_path / "srv/others"):
        file.touch()
    (tmp_path / "var/lib/gomd").symlink_to(state)
    if is_mounted:  # rm removes what is in it, and fails
        (tools / "rm").write_text(f'#!/bin/sh\n{shutil.which("rm")} "$@"; [ "$1" != -rf ]\n')
        (tools / "rm").chmod(0o755)
    script = (ROOT / "packaging/debian/gomd.postrm").read_text()
    script = re.sub(r"(?<![\w.])/(?=(?:var|etc|run|sys)/)", f"{tmp_path}/", script)
    assert not re.search("/(?:var|etc|run|sys)/", script.replace(f"{tmp_path}/", "")), "this machine's own"
    done = subprocess.run(
        ["sh", "-c", script, "postrm", "purge"], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("mount point" in done.stderr) == is_mounted
    left = {
        str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if tools not in (each, each.parent)
    }
    assert left == {"etc", "run", "srv", "srv/others", "var", "var/lib"}
