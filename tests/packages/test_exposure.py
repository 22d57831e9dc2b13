"""What `systemd-analyze security` says of the unit on Debian 13, and what docs/security.md says of that."""

from __future__ import annotations

import json
import re

import pytest

from tests.doc_blocks import ROOT
from tests.integration.systemd.machine import CONTRIB, Machine
from tests.packages.conftest import install

#: Where an administrator puts what restricts a node that only answers.
DROP_IN = "/etc/systemd/system/gomd.service.d/answers-only.conf"
#: The section of docs/security.md.
SECTION = (
    (ROOT / "docs/security.md").read_text("utf-8").partition("## The systemd unit\n")[2].partition("\n## ")[0]
)
#: The figures in it: of the unit as it is shipped, and of one that only answers.
SHIPPED, ANSWERS_ONLY = (float(found) for found in re.findall(r"\*\*(\d\.\d)\*\*", SECTION))


def exposure(machine: Machine) -> float:
    """Return the figure of the unit as it is loaded."""
    machine.run("systemctl", "daemon-reload")
    said = machine.run("systemd-analyze", "security", "--no-pager", "gomd.service", check=False)
    found = re.search(r"Overall exposure level for gomd.service: ([0-9.]+)", said)
    assert found, said
    return float(found[1])


@pytest.fixture
def installed(machine: Machine) -> Machine:
    """The machine with the packages."""
    install(machine)
    return machine


def test_the_unit_is_no_more_exposed_than_the_page_says(installed: Machine) -> None:
    """Neither as it is shipped, nor with the file for nodes that only answer; and that one still answers."""
    assert exposure(installed) <= SHIPPED
    installed.write(DROP_IN, (CONTRIB / "gomd-answers-only.conf").read_text())
    try:
        assert exposure(installed) <= ANSWERS_ONLY
        installed.run("systemctl", "restart", "gomd")
        assert installed.run("gom", "version").startswith("gomd ")
    finally:
        installed.run("rm", "-r", DROP_IN.rpartition("/")[0])
        installed.run("systemctl", "daemon-reload")


def test_what_systemd_misses_has_a_reason(installed: Machine) -> None:
    """Each setting that counts against the unit is in the table of docs/security.md."""
    said = installed.run(
        "systemd-analyze", "security", "--no-pager", "--json=short", "gomd.service", check=False
    )
    missed = [row["name"] for row in json.loads(said) if row["set"] is False]
    assert len(missed) > 10
    names = {name for row in missed for name in re.findall(r"([A-Z]\w+)=", row)}
    assert {name for name in names if f"`{name}`" not in SECTION} == set()


def test_jobs_are_as_able_as_at_a_login(installed: Machine) -> None:
    """A set-user-ID program makes a user root in a job, as in a shell; nothing filters system calls."""
    installed.run("cp", "/usr/bin/id", "/usr/local/bin/setuid-id")
    installed.run("chmod", "4755", "/usr/local/bin/setuid-id")
    try:
        assert "euid=0(root)" in installed.run("gom", "run", "/usr/local/bin/setuid-id", user="ann")
    finally:
        installed.run("rm", "/usr/local/bin/setuid-id")
    status = installed.run("gom", "run", "cat", "/proc/self/status", user="ann")
    limits = dict(line.split(":\t", 1) for line in status.splitlines())
    by_hand = installed.run("cat", "/proc/1/status")
    assert (limits["NoNewPrivs"], limits["Seccomp"]) == ("0", "0")
    assert f"CapBnd:\t{limits['CapBnd']}\n" in by_hand
