"""A daemon over an openMosix kernel: the tree captured from node 1 of a running cluster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon
from tests.integration.line import Line

CAPTURED = Path(__file__).parent.parent / "data" / "openmosix-proc" / "node1" / "proc"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that reads a copy of the captured tree."""
    proc = tmp_path / "proc"
    shutil.copytree(CAPTURED, proc)
    with Daemon(tmp_path / "home", "--source", "openmosix", "--proc-root", str(proc)) as running:
        yield running


@pytest.fixture
def line(daemon: Daemon) -> Iterator[Line]:
    """An admin's connection."""
    with daemon.connect_unix() as connected:
        yield connected


def captured(name: str) -> int:
    """A number of the captured tree."""
    return int((CAPTURED / "hpc" / name).read_text())


def test_the_whole_cluster_is_known_from_one_node(line: Line) -> None:
    """Nodes 1, 2 and 3 with the values of the tree; node 3 is down and reads -101, as in openMosix."""
    assert line.greeting.split()[4] == "1"
    for node in (1, 2):
        for verb in ("load", "speed", "cpus", "util"):
            assert line.ask(f"{verb} {node}").text == str(captured(f"nodes/{node}/{verb}"))
        sizes = [str(captured(f"nodes/{node}/{name}")) for name in ("mem", "rmem", "tmem")]
        assert line.ask(f"mem {node}").text.split() == sizes
    assert line.ask("status 2").text == f"{captured('nodes/2/status')} up"
    assert line.ask("load 3").text == "-101"
    assert line.ask("status 3").text == "1 down"
    assert line.ask("mem 3").text == "-101 -101 -101"
    assert line.ask("load 4").code == 404
    line.ask("format json")
    nodes = line.ask("nodes").rows
    assert [(node["id"], node["up"]) for node in nodes] == [(1, True), (2, True), (3, False)]
    assert nodes[2]["load"] is None


def test_the_tree_is_the_kernels_own(line: Line) -> None:
    """What openMosix's tools read under /proc/hpc is what `get` gives."""
    assert line.ask("ls /proc/hpc/nodes").block == ["NAME", "1", "2", "3"]
    assert line.ask("get /proc/hpc/nodes/3/load").block == ["-101"]
    assert line.ask("get /proc/hpc/nodes/3/status").block == ["1"]
    assert line.ask("get /proc/hpc/nodes/2/load").block == [str(captured("nodes/2/load"))]
    assert line.ask("get /proc/hpc/admin/mospe").block == ["1"]
    version = (CAPTURED / "hpc" / "admin" / "version").read_text().splitlines()
    assert line.ask("get /proc/hpc/admin/version").block == version


def test_processes_that_have_moved_say_where_they_run(line: Line) -> None:
    """They stay in their home's table, with the node they run on."""
    moved = {
        int(path.parent.name): int(path.read_text())
        for path in CAPTURED.glob("[0-9]*/where")
        if int(path.read_text())
    }
    assert set(moved.values()) == {2}
    for pid, node in moved.items():
        assert line.ask(f"where {pid}").text == str(node)
        assert line.ask(f"get /proc/{pid}/where").block == [str(node)]
    assert line.ask("where 1").text == "1"
    line.ask("format json")
    table = {row["pid"]: row for row in line.ask("ps").rows}
    for pid, row in table.items():
        assert row["home"] == 1
        assert row["where"] == moved.get(pid, 0)
        assert row["node"] == moved.get(pid, 1)
        assert row["nmigs"] == int((CAPTURED / str(pid) / "nmigs").read_text())
    assert set(moved) <= set(table)


def test_the_switches_write_into_the_tree(daemon: Daemon, line: Line, tmp_path: Path) -> None:
    """`stay` puts the value where the kernel looks for it; a process is told to move by its own file."""
    assert line.ask("stay").code == 200
    assert (tmp_path / "proc/hpc/admin/stay").read_text().strip() == "1"
    assert line.ask("put /proc/hpc/admin/stay 0").code == 200
    assert (tmp_path / "proc/hpc/admin/stay").read_text().strip() == "0"
    assert line.ask("put /proc/36/lock 1").code == 200
    assert (tmp_path / "proc/36/lock").read_text().strip() == "1"
    assert line.ask("put /proc/hpc/admin/mospe 70000").code == 400
    assert "Traceback" not in daemon.log


def test_a_node_that_goes_down_is_seen(line: Line, tmp_path: Path) -> None:
    """The kernel says so in its next read, and so does gomd."""
    for name in ("load", "speed", "cpus", "util", "mem", "rmem", "tmem"):
        (tmp_path / "proc/hpc/nodes/2" / name).write_text("-101\n")
    (tmp_path / "proc/hpc/nodes/2/status").write_text("1\n")
    line.send(b"watch -n 0.1 status 2\r\n")
    assert line.line().startswith("201 ")
    assert any(line.line() == "1 down" for _ in range(300))
