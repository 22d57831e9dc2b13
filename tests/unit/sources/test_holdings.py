"""What processes hold: swap, descriptors, control groups and containers, captured and the kernel's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gomd.sources.files import ProcRoot
from gomd.sources.linux.containers import ControlGroup, container_of, parse_group
from gomd.sources.linux.holdings import parse_swap, read_holdings
from libgomd.model import Holdings

ID = "0123456789ab" + "c" * 52


@pytest.mark.parametrize(("path", "container"), [
    (f"/system.slice/docker-{ID}.scope", "docker:0123456789ab"),
    (f"/docker/{ID}", "docker:0123456789ab"),
    (f"/docker/{ID}/system.slice/cron.service", "docker:0123456789ab"),
    (f"/machine.slice/libpod-{ID}.scope/container", "podman:0123456789ab"),
    (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope", "podman:0123456789ab"),
    (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-{ID}.scope",
     "containerd:0123456789ab"),
    (f"/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:{ID}",
     "containerd:0123456789ab"),
    (f"/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope", "cri-o:0123456789ab"),
    (f"/kubepods/besteffort/pod12-34/{ID}", "kubernetes:0123456789ab"),
    ("/lxc.payload.web-1/system.slice/ssh.service", "lxc:web-1"),
    ("/lxc/web-1", "lxc:web-1"),
    ("/machine.slice/systemd-nspawn@deb.service/payload", "machine:deb"),
    (r"/machine.slice/machine-my\x2dvm.scope", "machine:my-vm"),
    ("/", ""), ("/init.scope", ""), ("/user.slice/user-1000.slice/session-1.scope", ""),
    (f"/docker/{ID[:-1]}", ""), ("/system.slice/docker.service", ""), ("/system.slice/gomd.service/7", ""),
])  # fmt: skip
def test_containers(path: str, container: str) -> None:
    """Each runtime names its groups in its own way; services and sessions are no containers."""
    assert container_of(path) == container


def test_groups_of_every_version() -> None:
    """Version 2 alone, both together as systemd mounts them, version 1 alone, and kernels without."""
    assert parse_group(b"0::/user.slice\n") == ControlGroup("/user.slice", "")
    both = b"12:memory:/docker/" + ID.encode() + b"\n1:name=systemd:/init.scope\n0::/\n"
    assert parse_group(both) == ControlGroup("/init.scope", "docker:0123456789ab")
    old = b"4:cpu,cpuacct:/a\n3:memory:/b\n2:pids:/c\n"
    assert parse_group(old) == ControlGroup("/b", "")
    assert parse_group(b"0::/\n") == ControlGroup("/", "")
    for nothing in (b"", b"garbage\n", b"0::relative\n", b"4:cpu:/a\n"):
        assert parse_group(nothing) is None
    assert parse_group(b"0::/a\x1b[2J\xff\n") == ControlGroup(r"/a\x1b[2J\xff", "")


@given(some.binary())
def test_any_bytes_are_a_group_or_none(data: bytes) -> None:
    """No file makes it fail, and what is shown can be printed."""
    for text in (data, b"0::/" + data, b"1:name=systemd:/machine.slice/machine-" + data + b".scope\n"):
        found = parse_group(text)
        assert found is None or (found.path.isprintable() and len(found.path) <= 1024)


@pytest.mark.parametrize(("status", "swap"), [
    (b"Name:\tx\nVmSwap:\t    2048 kB\nThreads:\t1\n", 2048 * 1024), (b"Name:\tx\nVmSwap:\t0 kB\n", 0),
    (b"Name:\tkthreadd\n", None), (b"Name:\tVmSwap: 7 kB\n", None), (b"N:\nVmSwap:\t7\n", None),
    (b"N:\nVmSwap:\tx kB\n", None), (b"N:\nVmSwap:\t-7 kB\n", None), (b"", None),
])  # fmt: skip
def test_swap(status: bytes, swap: int | None) -> None:
    """In bytes; a kernel thread has none, and a name is no value."""
    assert parse_swap(status) == swap


def test_this_process_holds_what_it_holds() -> None:
    """From the kernel's own /proc."""
    root, pid, uid = ProcRoot("/proc"), os.getpid(), os.geteuid()
    before = read_holdings(root, pid, uid, {pid: 7})
    read, write = os.pipe()
    after = read_holdings(root, pid, uid, {})
    os.close(read)
    os.close(write)
    assert before.descriptors is not None
    assert after.descriptors == before.descriptors + 2
    assert (before.gpu_memory, after.gpu_memory) == (7, None)
    assert before.cgroup in (
        None,
        *[line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()],
    )
    with pytest.raises(ProcessLookupError):
        read_holdings(root, pid, uid + 1, {})


def test_a_captured_tree(tmp_path: Path) -> None:
    """Without control groups, and with descriptors that are counted one by one."""
    place = tmp_path / "42"
    (place / "fd").mkdir(parents=True)
    for number in range(3):
        (place / "fd" / str(number)).touch()
    (place / "status").write_text("Name:\tx\nVmSwap:\t4 kB\n")
    found = read_holdings(ProcRoot(str(tmp_path)), 42, os.geteuid(), {})
    assert found == Holdings(swap=4096, descriptors=3)
