"""Real daemons with the swim engine, on loopback addresses of this machine."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gom import key
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon, run

pytest.importorskip("kinship", reason="kinship is for Python 3.11 and later")

HOST = "127.0.77.{}"


def free_port() -> int:
    """Return a port that is free at all the addresses used here, as is the second one above it."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST.format(2), 0))
            port: int = probe.getsockname()[1]
        if port <= 65533:
            return port


class Room:
    """Some daemons of one cluster."""

    def __init__(self, start: StartDaemon, path: Path) -> None:
        self._start = start
        self._port = free_port()
        self.key = path / "key"
        self.other = path / "other"
        key.new(str(self.key))
        key.new(str(self.other))

    def ini(self, *keys: Path) -> str:
        """The settings that all have."""
        return (
            f"engine = swim\nkey_file = {', '.join(map(str, keys or (self.key,)))}\n"
            f"seeds = {HOST.format(2)}:{self._port}, {HOST.format(3)}:{self._port}\n"
        )

    def add(self, number: int, *keys: Path, home: Path | None = None) -> Daemon:
        """Start the daemon of a node."""
        return self._start(
            "--node-id", str(number), "--name", f"n{number}",
            "--peers", f"{HOST.format(number)}:{self._port}", ini=self.ini(*keys), home=home,
        )  # fmt: skip


@pytest.fixture
def room(start_daemon: StartDaemon, tmp_path: Path) -> Room:
    """A cluster that is empty yet."""
    return Room(start_daemon, tmp_path)


def rows(daemon: Daemon, verb: str) -> list[dict[str, Any]]:
    """Return what a verb answers in json."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        return line.ask(verb).rows


def up(daemon: Daemon) -> set[int]:
    """The nodes that are up, as this one sees them."""
    return {row["id"] for row in rows(daemon, "nodes") if row["up"]}


def eventually(what: Callable[[], bool]) -> float:
    """Wait until something is so; return how many seconds that took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < PATIENCE, "it never came so"
        time.sleep(0.05)
    return time.monotonic() - began


def test_three_daemons_know_each_other(room: Room) -> None:
    """They find each other by seeds, tell their values, answer for each other; one is killed, one leaves."""
    daemons = {number: room.add(number) for number in (2, 3, 4)}
    for daemon in daemons.values():
        eventually(lambda daemon=daemon: up(daemon) == {2, 3, 4})  # type: ignore[misc]
    two, three, four = daemons.values()
    eventually(lambda: all(row["load"] is not None and row["age"] < 10 for row in rows(two, "nodes")))
    assert {row["name"] for row in rows(two, "nodes")} == {"n2", "n3", "n4"}
    with two.connect_unix() as line:
        assert line.ask("@n4 whoami").code == 200  # over a stream
        assert line.ask("speed 4").text == line.ask("@4 speed").text
        assert line.ask("@4 get /proc/hpc/nodes/4/cpus").code == 201

    four.kill()
    assert eventually(lambda: up(two) == up(three) == {2, 3}) < 20
    for daemon in (two, three):
        events = [event for event in rows(daemon, "events") if event["node"] == 4]
        assert [event["kind"] for event in events] == ["join", "suspect", "down"]
        assert "no answer to the probes of" in events[1]["reason"]
        assert events[1]["by"] == events[2]["by"]
        assert events[1]["by"] in (2, 3)
    [row] = [row for row in rows(two, "nodes") if row["id"] == 4]
    assert (row["status"], row["load"]) == (1, None)

    assert three.stop() in (0, -signal.SIGTERM)
    eventually(lambda: up(two) == {2})
    assert [(event["kind"], event["by"]) for event in rows(two, "events") if event["node"] == 3] == [
        ("join", 2), ("leave", 3),
    ]  # fmt: skip
    assert [event["reason"] for event in rows(two, "events") if event["kind"] == "leave"] == [
        "it said goodbye"
    ]

    four = room.add(4, home=four.home)
    eventually(lambda: up(two) == up(four) == {2, 4})
    last = [event for event in rows(two, "events") if event["node"] == 4][-1]
    assert last["kind"] == "join"
    assert "started again" in last["reason"]
    for daemon in (two, four):
        assert "Traceback" not in daemon.log


def test_without_the_key_nobody_joins(room: Room) -> None:
    """A daemon with another key sees nobody and is seen by nobody; what it sends is counted."""
    two, three = room.add(2), room.add(3, room.other)
    eventually(
        lambda: any(
            counter["name"] == "swim_decrypt_failures" and counter["value"] > 0
            for counter in rows(two, "stats")
        )
    )
    assert (up(two), up(three)) == ({2}, {3})


def test_the_key_is_changed_while_it_runs(room: Room) -> None:
    """In three steps by SIGHUP, and nobody goes down; a daemon with the new key alone joins then."""
    daemons = [room.add(2), room.add(3)]
    eventually(lambda: all(up(daemon) == {2, 3} for daemon in daemons))
    for keys in ((room.key, room.other), (room.other, room.key), (room.other,)):
        for daemon in daemons:
            said = len(daemon.lines)
            daemon.configure(room.ini(*keys))
            daemon.signal(signal.SIGHUP)
            daemon.wait_for(re.compile("configuration read again, changed: peers.key_file"), said)
        time.sleep(0.5)
    four = room.add(4, room.other)
    eventually(lambda: all(up(daemon) == {2, 3, 4} for daemon in (*daemons, four)))
    for daemon in daemons:
        assert not [event for event in rows(daemon, "events") if event["kind"] in ("down", "leave")]


def test_a_port_that_is_taken_refuses_the_start(tmp_path: Path) -> None:
    """In one sentence, which says why it is that port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST.format(2), 0))
        port = taken.getsockname()[1]
        outcome = run(
            tmp_path, "--state-dir", str(tmp_path / "state"), "--telnet", "tcp:127.0.0.1:0",
            "--peers", f"{HOST.format(2)}:{port - 2}", ini="engine = swim\n",
        )  # fmt: skip
    assert outcome.returncode == 1
    [sentence] = outcome.stderr.splitlines()
    assert f"{HOST.format(2)}:{port} (Address already in use): it listens 2 above [peers] port" in sentence
