"""
A Debian to run systemd in: made once with debootstrap, kept in a cache directory, used read-only.

It has what gomd stands on, in a virtual environment at /opt/gomd; gomd itself comes from the checkout each
time. The cache is ``$GOMD_TEST_CACHE``, else /var/cache/gomd-tests; it takes about 500 MB and may be removed.
"""

from __future__ import annotations

import configparser
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: The Python of each Debian. trixie has systemd 257, bookworm 252, the oldest that the unit is for.
PYTHONS = {"trixie": "3.13", "bookworm": "3.11"}
SUITE = os.environ.get("GOMD_TEST_SUITE", "trixie")
PYTHON = PYTHONS[SUITE]
PACKAGES = ("systemd", "dbus", "python3-venv", "iproute2", "procps")
CHECKOUT = Path(__file__).parents[3]
CACHE = Path(os.environ.get("GOMD_TEST_CACHE", "/var/cache/gomd-tests"))
#: Seconds that making it may take: 250 MB are downloaded.
PATIENCE = 900.0
_BUILD_TOOLS = ("setuptools", "wheel")


def missing() -> str:
    """Return why there can be no such Debian here, empty when there can as far as that is known."""
    if os.geteuid() != 0:
        return "a system with systemd needs root"
    programs = ("debootstrap", "unshare", "nsenter", "pivot_root")
    absent = [program for program in programs if shutil.which(program) is None]
    if absent and not _complete(CACHE / SUITE):
        return f"a system with systemd needs {', '.join(absent)} (Debian packages debootstrap and util-linux)"
    return ""


class CannotBuild(Exception):
    """There is no tree and none can be made here: no network, most likely. Says what was tried."""


def built() -> Path:
    """
    Return the directory of a complete tree. Blocks: about a minute when there is none yet.

    :raises CannotBuild: it cannot be made.
    """
    tree = bare()
    with locked(CACHE / "lock"):
        wanted = _fingerprint()
        stamp = tree / "opt/gomd/.requirements"
        if not stamp.exists() or stamp.read_text() != wanted:
            _install_requirements(tree)
            stamp.write_text(wanted)
    return tree


def bare() -> Path:
    """
    Return the directory of a tree that has Debian's packages; what else is in it is unsaid. Blocks.

    :raises CannotBuild: it cannot be made.
    """
    tree = CACHE / SUITE
    CACHE.mkdir(parents=True, exist_ok=True)
    with locked(CACHE / "lock"):
        if not _complete(tree):
            _debootstrap(tree)
    return tree


def _complete(tree: Path) -> bool:
    return (tree / "usr/lib/systemd/systemd").exists()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have the lock ``path``. Blocks until nobody else has it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def requirements() -> list[str]:
    """Return what gomd stands on, with its optional parts, as setup.cfg has it."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(CHECKOUT / "setup.cfg")
    sections = (
        setup["options"]["install_requires"],
        *(setup["options.extras_require"][x] for x in ("http", "swim")),
    )
    lines = (line.strip() for section in sections for line in section.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _fingerprint() -> str:
    return hashlib.sha256("\n".join([PYTHON, *_BUILD_TOOLS, *requirements()]).encode()).hexdigest()


def _debootstrap(tree: Path) -> None:
    """Make the tree beside its place, so that one that is there is whole."""
    unfinished = tree.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(tree, ignore_errors=True)
    do("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(unfinished))
    for rubbish in (unfinished / "var/cache/apt/archives", unfinished / "var/lib/apt/lists"):
        shutil.rmtree(rubbish, ignore_errors=True)
    unfinished.rename(tree)


def _install_requirements(tree: Path) -> None:
    """
    Fill /opt/gomd. The pip of out here downloads, as it is configured; the one in there needs no network.
    """
    home = tree / "opt/gomd"
    shutil.rmtree(home, ignore_errors=True)
    wheels = tree / "opt/wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    machine = platform.machine()
    platforms = [
        f"--platform={each}_{machine}" for each in ("manylinux2014", "manylinux_2_28", "manylinux_2_34")
    ]
    do(
        sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "-d", str(wheels),
        "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp", *platforms,
        *_BUILD_TOOLS, *requirements(),
    )  # fmt: skip
    do("chroot", str(tree), "python3", "-m", "venv", "/opt/gomd")
    do(
        "chroot", str(tree), "/opt/gomd/bin/pip", "install", "-q", "--no-index", "--find-links=/opt/wheels",
        *_BUILD_TOOLS, *requirements(),
    )  # fmt: skip
    shutil.rmtree(wheels)


def do(*command: str) -> None:
    """Run a program to its end. :raises CannotBuild: it failed."""
    try:
        subprocess.run(
            command, check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        last = "\n".join(error.stdout.splitlines()[-5:])
        raise CannotBuild(f"{' '.join(command[:6])} ... failed: {last}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(f"{' '.join(command[:6])} ... failed: {error}") from error
