"""`gom do NAME -n NODES` on three daemons: equal outputs once, failures by node, the highest exit status."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.integration.cluster_of import cluster_of
from tests.integration.daemon import Daemon
from tests.integration.jobs import begin, gom, until

COMMANDS = """
[commands]
kernel = uname -s
who = cat {home}/who
slow = sleep 600
fail = sh -c 'exit {status}'
"""


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Daemon]]:
    """Nodes node1 to node3 with commands; only the odd ones print the same, and node3 alone has `alone`."""
    with cluster_of(tmp_path_factory.mktemp("trio"), 3) as daemons:
        for number, daemon in enumerate(daemons, 1):
            (daemon.home / "who").write_text("odd\n" if number % 2 else "even\n")
            alone = "alone = uname -s\n" if number == 3 else ""
            daemon.configure(COMMANDS.format(home=daemon.home, status=number - 1) + alone)
            daemon.signal(signal.SIGHUP)
        for daemon in daemons:
            until(lambda daemon=daemon: gom(daemon, "do", "kernel").returncode == 0)  # type: ignore[misc]
        yield daemons


def test_equal_outputs_are_shown_once(trio: list[Daemon]) -> None:
    """The nodes that printed the same stand in one line, as with `clush -b`."""
    done = gom(trio[0], "do", "kernel", "-n", "@all")
    assert (done.returncode, done.stderr) == (0, b"")
    rule = "-" * 15
    assert done.stdout.decode().splitlines() == [rule, "node[1-3] (3)", rule, "Linux"]
    done = gom(trio[0], "do", "who", "-n", "node[1-3]")
    text = done.stdout.decode().splitlines()
    assert text == [rule, "node[1,3] (2)", rule, "odd", rule, "node2 (1)", rule, "even"]


def test_the_highest_exit_status_is_passed_on(trio: list[Daemon]) -> None:
    """And a node that refuses is named, while the others have run."""
    assert gom(trio[0], "do", "fail", "-n", "node[1-3]").returncode == 2
    assert gom(trio[0], "do", "fail", "-n", "node1").returncode == 0
    done = gom(trio[0], "do", "alone", "-n", "@all")
    assert done.returncode == 1
    assert b"node3 (1)" in done.stdout
    assert done.stderr.startswith(b"gom: node[1-2]: ")


def test_lines_as_they_come_and_json(trio: list[Daemon]) -> None:
    """-l puts the node's name before each line; --json gives an object a node."""
    done = gom(trio[0], "do", "who", "-n", "1-3!2", "-l")
    assert sorted(done.stdout.decode().splitlines()) == ["node1: odd", "node3: odd"]
    done = gom(trio[0], "--json", "do", "who", "-n", "node2,node1", "-f", "1")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["name"], row["lines"], row["exit"]) for row in rows] == [
        ("node2", ["even"], 0),
        ("node1", ["odd"], 0),
    ]


@pytest.mark.parametrize("nodes", ["node[1-", "nobody", "@all!@all"])
def test_wrong_sets_are_refused_before_anything_runs(nodes: str, trio: list[Daemon]) -> None:
    """One sentence, and no node is asked."""
    done = gom(trio[0], "do", "kernel", "-n", nodes)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"gom: ")
    assert done.stderr.count(b"\n") == 1


def test_ctrl_c_ends_it_on_all_nodes(trio: list[Daemon]) -> None:
    """The commands are killed where they run, because their caller has hung up."""
    running = begin(trio[0], "do", "slow", "-n", "@all")

    def commands() -> list[int]:
        """Count the commands that run on each node."""
        found = []
        for daemon in trio:
            with daemon.connect_unix() as line:
                line.ask("format json")
                rows = line.ask("ps --match sleep --fields pid,ppid,command").rows
                found.append(
                    sum("sleep 600" in row["command"] and row["ppid"] == daemon.process.pid for row in rows)
                )
        return found

    until(lambda: all(commands()))
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 130
    until(lambda: not any(commands()))
