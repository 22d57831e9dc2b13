"""One machine for all tests, on which the packages lie ready in /src; each test begins without gomd."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.systemd.machine import Machine
from tests.integration.systemd.machine import missing as machine_missing
from tests.integration.systemd.tree import CACHE, missing
from tests.packages.packages import built, debian, names, renumbered

#: A version before and one after the built one.
OLDER, NEWER = "0.0.9~test", "99.0"


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with new/, old/ and next/, each with all packages."""
    packages = built()
    assert packages, (
        "there are no packages: `make deb` builds them, and `make test-packages` does before this"
    )
    place = tmp_path_factory.mktemp("packages")
    (place / "new").mkdir()
    for each in packages:
        shutil.copy(each, place / "new")
    renumbered(packages, OLDER, place / "old")
    renumbered(packages, NEWER, place / "next")
    return place


@pytest.fixture(scope="session")
def booted(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> Iterator[Machine]:
    """A Debian 13 with systemd, and an ordinary user ann (1000)."""
    why_not = missing() or machine_missing()
    assert not why_not, f"the packages cannot be tried here: {why_not}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with Machine(tmp_path_factory.mktemp("machine"), debian(), sources) as machine:
        machine.run("useradd", "--create-home", "--uid", "1000", "ann")
        machine.run("ip", "address", "add", "10.9.8.7/32", "dev", "lo")
        yield machine


@pytest.fixture
def machine(booted: Machine) -> Iterator[Machine]:
    """The machine, where gomd is neither installed nor remembered."""
    booted.mark()
    yield booted
    booted.run("dpkg", "--purge", *names())


def apt(machine: Machine, *words: str, check: bool = True) -> str:
    """Run apt-get without a network: everything it needs was fetched before."""
    done = machine.try_("DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", *words)
    assert not check or done.returncode == 0, done.stdout + done.stderr + machine.journal()
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


def install(machine: Machine, version: str = "new", *options: str, check: bool = True) -> str:
    """Say `apt install ./*.deb`."""
    packages = machine.run("sh", "-c", f"echo /src/{version}/*.deb").split()
    return apt(machine, "install", *options, *packages, check=check)
