"""One machine for all tests of a file; each test finds gomd stopped and nothing configured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.systemd.machine import CONTRIB, Machine, missing
from tests.integration.systemd.tree import CannotBuild, built
from tests.integration.systemd.tree import missing as tree_missing


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which gomd is installed, with an ordinary user ann (1000)."""
    if why_not := tree_missing() or missing():
        pytest.skip(why_not)
    try:
        tree = built()
    except CannotBuild as error:
        pytest.skip(f"there is no Debian to run systemd in, and none can be made: {error}")
    with Machine(tmp_path_factory.mktemp("systemd"), tree) as machine:
        machine.run(
            "/opt/gomd/bin/pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "/src"
        )
        machine.run("useradd", "--create-home", "--uid", "1000", "ann")
        machine.write("/etc/systemd/system/gomd.service", (CONTRIB / "gomd.service").read_text())
        yield machine


@pytest.fixture
def machine(booted: Machine) -> Iterator[Machine]:
    """The machine, with the shipped unit and nothing else."""
    booted.run("systemctl", "daemon-reload")
    booted.mark()
    yield booted
    for unit in ("gomd.socket", "gomd.service"):
        booted.run("systemctl", "stop", unit, check=False)
    cgroups = "find /sys/fs/cgroup/system.slice/gomd.service -name cgroup.procs -exec cat {} +"
    for pid in booted.run(*cgroups.split(), check=False).split():
        booted.run("kill", "-KILL", pid, check=False)
    drop_ins = Path("/etc/systemd/system")
    booted.run(
        "rm", "-rf", "/var/lib/gomd", "/var/lib/private/gomd", "/run/gomd", "/etc/gomd", "/etc/default/gomd",
        str(drop_ins / "gomd.service.d"), str(drop_ins / "gomd.socket"),
    )  # fmt: skip
    booted.run("systemctl", "daemon-reload")
    booted.run("systemctl", "reset-failed", "gomd.service", check=False)
