"""
Nodes of one cluster that are broken in ten ways, and what `gom doctor` says of each.

The clusters are hosts of namespaces. What was broken on one node is named with that node.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gom.command import main
from libgomd.installation import installation
from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.clocks.conftest import faked_clock, faketime_is_missing, write_clock
from tests.integration.cluster.asking import ask, events, eventually, see, start, up
from tests.integration.daemon import PATIENCE, TWISTD, Daemon
from tests.integration.hosts import Host, Network

GOM = [sys.executable, "-c", "import sys; from gom.command import run; sys.exit(run())"]
Found = dict[tuple[int | None, str], dict[str, Any]]


def doctor(host: Host, *words: str) -> tuple[int, Found]:
    """Run `gom --json doctor` on a host: its exit status, and what is wrong by node and subject."""
    done = subprocess.run(
        host.command([*GOM, "-c", f"unix:{host.home}/gomd.sock", "--json", "doctor", *words]),
        capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert done.stderr == "", done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {(row["node"], row["check"]): row for row in rows if row["state"] != "good"}


@pytest.fixture
def network() -> Iterator[Network]:
    """Eight hosts; the last two are not of the cluster: another key, and a clock that is an hour late."""
    if reason := hosts.missing():
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="gomd-doctor-"))
    try:
        new_key_file(str(home / "key"))
        new_key_file(str(home / "another"))
        with Network(home) as made:
            for number in range(1, 9):
                key = home / f"key{number}"
                shutil.copyfile(home / ("another" if number == 7 else "key"), key)
                key.chmod(0o600)
                made.add(key)
            yield made
    finally:
        shutil.rmtree(home)


def test_every_broken_node_is_named_with_what_mends_it(network: Network) -> None:
    """Nothing of what is broken later is reported before; each of it is found by one call."""
    asker, files, machine, dead, port, lost, stranger, late = network.hosts
    machine.more = "[jobs]\ncriu = /missing/criu\n"
    cluster = [asker, files, machine, dead, port, lost]
    start(cluster)
    members = frozenset(range(1, 7))
    see(cluster, members)
    _status, before = doctor(asker)
    assert not {subject for node, subject in before if node == asker.node} & {"key", "state", "node", "ports"}
    assert not {node for node, subject in before if subject in ("node", "ports", "clock", "key")}

    files.key_file.chmod(0o644)
    files.daemon.state.chmod(0o755)
    (machine.daemon.state / "spool").mkdir(mode=0o700, exist_ok=True)
    machine.run("mount", "-t", "tmpfs", "-o", "size=20m", "none", str(machine.daemon.state / "spool"))
    dead.daemon.kill()
    to_port = ("to", port.address, "ipproto", "tcp", "dport", "5428")
    asker.run("ip", "rule", "add", "pref", "10", *to_port, "prohibit")
    start([stranger])
    late_is_possible = not faketime_is_missing()
    if late_is_possible:
        write_clock(late.home, -3600)
        late.daemon.under = ("env", *faked_clock(late.home))
        start([late])
        eventually(lambda: events(asker, late.node, "suspect"))
    lost.run("ip", "addr", "del", f"{lost.address}/24", "dev", "eth0")
    eventually(lambda: up(asker) == members - {dead.node, lost.node})
    eventually(lambda: "unknown-key" in str(ask(asker, "stats").block))

    status, found = doctor(asker)
    assert status == 1
    expected: dict[tuple[int | None, str], str] = {
        (files.node, "key"): "chmod 600",
        (files.node, "state"): "its mode is 0755",
        (machine.node, "criu"): "/missing/criu",
        (machine.node, "spool"): "",
        (dead.node, "node"): "it is down",
        (lost.node, "node"): "it is down",
        (port.node, "ports"): "its streams do not",
        (asker.node, "datagrams_dropped_unknown-key"): "another cluster's key",
    }
    if late_is_possible:
        expected[late.node, "node"] = "its clock is 3600 s behind ours"
    for which, text in expected.items():
        assert which in found, (which, found)
        assert text in found[which]["text"], found[which]
        assert found[which]["mend"], found[which]
    assert all(row["mend"] for row in found.values())

    status, here = doctor(lost)  # as the node itself sees it
    assert status == 1
    assert "is on no interface" in here[lost.node, "address"]["text"]


def test_what_one_move_meets_is_told_with_every_reason(network: Network) -> None:
    """A dry run moves nothing; the node that blocks guests and has no criu is told of with both."""
    source, target = network.hosts[:2]
    target.more = "[jobs]\ncriu = /missing/criu\n"
    start([source, target])
    see([source, target], frozenset({1, 2}))
    ask(target, "block")
    running = source.popen(
        *GOM, "-c", f"unix:{source.home}/gomd.sock", "run", "-n", "1", "--no-input", "sleep", "600",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        [job] = eventually(lambda: [row for row in ask(source, "jobs", as_json=True).rows if row["pid"]])
        status, found = doctor(source, str(job["pid"]), "2")
        assert status == 1
        assert (None, "move") in found
        assert (target.node, "criu") in found
        done = source.run(
            *GOM, "-c", f"unix:{source.home}/gomd.sock", "doctor", str(job["pid"]), "2", check=False
        )
        assert "move: " in done
        assert "mend: " in done
    finally:
        ask(source, f"kill {job['job']} KILL")
        running.wait(PATIENCE)


def test_without_a_daemon_the_configuration_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 3, every mistake of gomd.ini, and the daemon that is missing."""
    ini = tmp_path / "gomd.ini"
    ini.write_text("[peers]\nadress = 10.0.0.1\n[telnet]\nanonymous = all\n")
    assert main(["-c", f"unix:{tmp_path}/none", "doctor", "--config", str(ini)]) == 3
    said = capsys.readouterr().out
    assert "daemon: no daemon answers" in said
    assert "adress" in said
    assert "anonymous" in said
    by_hand = " -n gomd; or, as a service: "
    assert ("systemctl start gomd" if installation().is_service else by_hand) in said


def test_an_ordinary_user_is_not_told_where_files_are(tmp_path: Path) -> None:
    """Who reads over tcp learns that STATE is open to others, not its path."""
    with Daemon(tmp_path) as daemon:
        daemon.state.chmod(0o755)
        with daemon.connect() as line:
            said = "\n".join(line.ask("doctor").block or [])
        assert "its mode is 0755" in said
        assert str(tmp_path) not in said
        with daemon.connect_unix() as line:
            assert f"chmod 700 {daemon.state}" in "\n".join(line.ask("doctor").block or [])


def test_what_gom_init_writes_passes_the_check_and_starts(tmp_path: Path) -> None:
    """On a host of its own, where ports are free: init, `--check`, the daemon, and doctor finds it."""
    if reason := hosts.missing():
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="gomd-init-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            host = network.add(home / "key")
            ini = host.home / "etc" / "gomd" / "gomd.ini"
            said = host.run(
                *GOM, "init", "--yes", "--name", "alpha", "--page", "--seeds", "none", "--config", str(ini),
                "--state-dir", str(host.home / "state"),
            )  # fmt: skip
            assert f"scp -p {host.address}:" in said
            assert f"--seeds {host.address}:5428 --page" in said
            checked = host.run(TWISTD, "--pidfile=", "gomd", "--config", str(ini), "--check")
            assert "the configuration is good" in checked
            host.daemon.configure(ini.read_text())
            host.daemon.start()
            assert [row["name"] for row in ask(host, "nodes", as_json=True).rows] == ["alpha"]
    finally:
        shutil.rmtree(home)
