"""Options of sockets as they travel, multicast groups, and which files are written out before a copy runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomd.jobs.checkpoint import socket_contents, socket_options, written_files
from libgomd.errors import CannotMove
from libgomd.wire.frames import MalformedFrame

_OPTIONS: socket_options.SocketOptions = {300: {4: ((0, 33, 9), (1, 42, -1))}, 301: {7: ((41, 18, 255),)}}
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text("0123", max_size=2), each, max_size=3),
)


def test_they_arrive_as_they_left() -> None:
    """Through JSON."""
    told = json.loads(json.dumps(socket_options.encode(_OPTIONS)))
    assert socket_options.decode(told, "sockets") == _OPTIONS


@given(_ANY)
def test_any_value_is_options_or_malformed(value: object) -> None:
    """Another node may say anything."""
    try:
        socket_options.decode(value, "sockets")
    except MalformedFrame:
        pass


@pytest.mark.parametrize("value", [
    [], {"a": {}}, {"1": []}, {"1": {"-1": []}}, {"1": {"1": [[1, 2]]}}, {"1": {"1": [[0, 33, True]]}},
    {"1": {"1": [[0, 33, 1 << 31]]}}, {"1": {"1": [[0, 33, "9"]]}},
])  # fmt: skip
def test_what_is_malformed(value: object) -> None:
    """Numbers are numbers, of 32 bits."""
    with pytest.raises(MalformedFrame):
        socket_options.decode(value, "sockets")


def test_processes_that_are_gone_are_left_out() -> None:
    """Neither do they keep a copy from running, nor options that this version does not know."""
    socket_options.apply({(1 << 22) + 1: {3: ((0, 33, 9), (99, 99, 99))}})


def test_no_more_descriptors_are_looked_at_than_said(tmp_path: Path) -> None:
    """A user who opens a million of them must not keep a thread busy for good."""
    for pid in (300, 301):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        for number in range(5):
            (tmp_path / str(pid) / "fd" / str(number)).symlink_to(f"socket:[{pid}{number}]")
    found = list(socket_options.sockets_of([300, 299, 301], str(tmp_path)))
    assert len(found) == 10
    assert list(socket_options.sockets_of([300, 299, 301], str(tmp_path), 7)) == found[:7]


def test_groups_of_a_node(tmp_path: Path) -> None:
    """As the kernel shows them, without those that every node is in; what is no line of them is left out."""
    (tmp_path / "igmp").write_text(
        "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
        "1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
        "3\teth0      :     2      V3\n\t\t\t\t0301A8EF     1 0:00000000\t\t0\n\t\t\t\tno number\n"
    )
    (tmp_path / "igmp6").write_text(
        "1    lo              ff020000000000000000000000000001     1 0000000C 0\n"
        "3    eth0            ff15000000000000000000000000676f     1 00000004 0\nhalf a line\n"
    )
    assert socket_contents.read_groups(str(tmp_path)) == [(3, "239.168.1.3"), (3, "ff15::676f")]
    assert socket_contents.read_groups(str(tmp_path / "none")) == []


_MOUNTS = """\
20 1 8:1 / / rw - ext4 /dev/sda1 rw
21 20 0:50 / {place} rw - {kind} server:/net rw
"""


def _process(proc: Path, kind: str, target: Path, flags: str) -> None:
    """Make the files of process 300, with one descriptor."""
    for name in ("fd", "fdinfo", "map_files"):
        (proc / "300" / name).mkdir(parents=True)
    (proc / "filesystems").write_text("nodev\tproc\nnodev\tnfs4\nnodev\tfuse\n\text4\n")
    (proc / "300" / "mountinfo").write_text(_MOUNTS.format(place=target.parent, kind=kind))
    (proc / "300" / "fd" / "3").symlink_to(target)
    (proc / "300" / "fdinfo" / "3").write_text(f"pos:\t0\nflags:\t{flags}\n")
    (proc / "300" / "maps").write_text("")


@pytest.mark.parametrize(("kind", "flags", "count"), [
    ("nfs4", "0100002", 1), ("fuse.sshfs", "0100001", 1), ("cifs", "02102001", 1), ("nfs4", "0100000", 0),
    ("ext4", "0100002", 0), ("tmpfs", "0100002", 0), ("zfs", "0100002", 0), ("overlay", "0100002", 0),
])  # fmt: skip
def test_files_of_the_network_are_written_out(tmp_path: Path, kind: str, flags: str, count: int) -> None:
    """Those that are open for writing, and not those of a disk of this node."""
    (tmp_path / "net").mkdir()
    target = tmp_path / "net" / "file"
    target.touch()
    _process(tmp_path / "proc", kind, target, flags)
    assert written_files.write_out([300, 301], os.geteuid(), 0, (), str(tmp_path / "proc")) == count


def test_a_file_that_cannot_be_written_out_is_named(tmp_path: Path) -> None:
    """Here it is one that nobody may open."""
    (tmp_path / "net").mkdir()
    target = tmp_path / "net" / "file"
    target.touch()
    _process(tmp_path / "proc", "nfs4", target, "0100002")

    def refuse(_at: str, _pid: int, _number: int) -> int:
        raise OSError(122, "Disk quota exceeded")

    with pytest.raises(CannotMove, match=f"its file {target} cannot be written out: Disk quota exceeded"):
        written_files.write_out([300], os.geteuid(), 0, (), str(tmp_path / "proc"), refuse)
