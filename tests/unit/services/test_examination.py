"""What a node finds out about itself for `doctor`, from captured files and made-up directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from gomd.services import examination
from gomd.services.examination import BAD, GOOD, WARN, disk, examine
from gomd.services.examination_network import interfaces
from gomd.sources.interface_mtu import InterfaceMtu, mtu_of, parse_ipv6_network
from libgomd.errors import ConfigError

MOUNTS = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:25 / /run rw - tmpfs tmpfs rw\n"


def refuse() -> None:
    raise ConfigError(["/secret/place is wrong", "so is another"])


def test_every_mistake_of_a_file_is_a_finding_and_paths_are_for_admins(tmp_path: Path) -> None:
    """Others are told that something is wrong, not where."""
    for shows in (True, False):
        found = [
            each
            for each in examine(
                {"key": refuse}, {"spool": str(tmp_path), "state": str(tmp_path)}, shows_paths=shows
            )
            if each.check == "key"
        ]
        assert [each.state for each in found] == [BAD, BAD]
        assert ("/secret/place" in found[0].text) is shows
    everything = examine({}, {"spool": str(tmp_path), "state": str(tmp_path)}, shows_paths=False)
    assert not any(str(tmp_path) in each.text + each.mend for each in everything)


def test_an_open_state_is_found(tmp_path: Path) -> None:
    """And the command that closes it."""
    tmp_path.chmod(0o750)
    [found] = examination.open_to_others(str(tmp_path), True)
    assert found.state is WARN
    assert found.mend == f"chmod 700 {tmp_path}"
    tmp_path.chmod(0o700)
    assert list(examination.open_to_others(str(tmp_path), True)) == []


def test_a_full_disk(tmp_path: Path) -> None:
    """Free bytes as they are; a directory that is not made yet is on the disk of its parent."""
    found = disk("spool", str(tmp_path / "not" / "yet"), True)
    assert found.value is not None
    assert found.value > 0
    assert disk("spool", str(tmp_path), True, low=1 << 62).state is WARN
    full = disk("spool", str(tmp_path), True, low=1 << 62, empty=1 << 62)
    assert full.state is BAD
    assert full.mend == f"free some room: df -h {tmp_path}"


@pytest.mark.parametrize(
    ("spool", "found"), [("/var/spool", 0), ("/run/gomd", 1), ("/runaway", 0), ("/run", 1)]
)
def test_a_spool_in_memory(spool: str, found: int) -> None:
    """The innermost mount decides, not one whose name begins alike."""
    assert len(list(examination.spool_in_memory(MOUNTS, spool, True))) == found


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("MemTotal: 1000 kB\nMemAvailable: 900 kB\n", GOOD),
        ("MemTotal: 1000 kB\nMemAvailable: 9 kB\n", WARN),
        ("MemTotal: 1000 kB\n", None),
        ("rubbish", None),
    ],
)
def test_memory(text: str, state: object) -> None:
    """Nothing is said where the kernel does not tell."""
    assert [each.state for each in examination.memory(text)] == ([] if state is None else [state])


def test_namespaces(tmp_path: Path) -> None:
    """A kernel without time namespaces, and one that forbids some."""
    (tmp_path / "self" / "ns").mkdir(parents=True)
    for name in examination.NAMESPACES[:-1]:
        (tmp_path / "self" / "ns" / name).touch()
    assert "time" in examination.namespaces(str(tmp_path)).text
    (tmp_path / "self" / "ns" / "time").touch()
    assert examination.namespaces(str(tmp_path)).state is GOOD
    (tmp_path / "sys" / "user").mkdir(parents=True)
    (tmp_path / "sys" / "user" / "max_pid_namespaces").write_text("0\n")
    assert examination.namespaces(str(tmp_path)).mend == "sysctl -w user.max_pid_namespaces=10000"


def test_the_memory_controller(tmp_path: Path) -> None:
    """Of the unified hierarchy, or that it is missing."""
    (tmp_path / "self").mkdir()
    assert examination.memory_controller(str(tmp_path)).state is WARN
    mounted = tmp_path / "cgroup"
    (mounted / "a").mkdir(parents=True)
    (mounted / "a" / "cgroup.procs").touch()
    (mounted / "a" / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "self" / "mountinfo").write_text(f"30 22 0:25 / {mounted} rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "self" / "cgroup").write_text("0::/a\n")
    assert examination.memory_controller(str(tmp_path)).state is GOOD


def test_open_files() -> None:
    """A small limit, a large one and none."""
    assert [examination.open_files(limit).state for limit in (1024, 16384, -1)] == [WARN, GOOD, GOOD]


def test_interfaces() -> None:
    """What is compared stands before the comma; loopback, and what the kernel does not tell, is left out."""

    def look(address: str) -> InterfaceMtu | None:
        if address == "10.0.0.9":
            raise OSError(1, "no")
        return known.get(address)

    known = {
        "10.0.0.1": InterfaceMtu("eth0", 9000, "10.0.0.0/24"),
        "fd00::1": InterfaceMtu("eth0", 576, "fd00::/64"),
        "10.0.0.2": InterfaceMtu("eth0:1", 1500, ""),
    }
    found = list(interfaces(["127.0.0.1", "::1", "10.0.0.9", "10.0.0.8", *known], look))
    assert [(each.state, each.value) for each in found] == [(GOOD, 9000), (BAD, 576)]
    assert found[0].text == "MTU 9000 in 10.0.0.0/24, of eth0"
    assert found[1].mend == "ip link set dev eth0 mtu 1500"


def test_the_network_of_an_ipv6_address() -> None:
    """By its prefix in the kernel's list; nothing for an address that is not there, or junk."""
    text = "fd000000000000000000000000000001 02 40 00 80     eth0\nrubbish\n"
    assert parse_ipv6_network(text, "fd00::1") == "fd00::/64"
    assert parse_ipv6_network(text, "fd00::2") == ""
    assert parse_ipv6_network("fd000000000000000000000000000001 02 zz", "fd00::1") == ""
    assert parse_ipv6_network("", "fe80::1%eth0") == ""


def test_the_mtu_of_loopback() -> None:
    """The kernel tells it for any interface that is up."""
    found = mtu_of("127.0.0.1")
    if found is not None:
        assert (found.name, found.network) == ("lo", "127.0.0.0/8")
        assert found.mtu >= 1500
    assert mtu_of("192.0.2.77") is None
