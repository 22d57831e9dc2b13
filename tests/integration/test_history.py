"""The past, asked of real daemons: a process that ate memory, a dead node, a killed daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from libgomd.wallclock import wall_clock
from tests.integration.daemon import PATIENCE, Daemon, run

GOM = str(Path(sys.executable).with_name("gom"))
OFTEN = "[collector]\nperiod = 0.5\nprocesses_period = 0.5\n"
EATER = "import sys, time\nx = bytearray(300_000_000)\nprint(flush=True)\ntime.sleep(600)\n"


def gom(daemon: Daemon, *words: str, user: int | None = None) -> str:
    """Return what `gom` prints."""
    done = subprocess.run(
        [GOM, "-c", daemon.unix if user is None else daemon.tcp, *words],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(daemon: Daemon, *words: str) -> list[dict[str, Any]]:
    """Return the rows of an answer of `gom --json`."""
    return [json.loads(line) for line in gom(daemon, "--json", *words).splitlines()]


def until(found: Callable[[], Any]) -> Any:
    """Return what ``found`` returns once that is true."""
    end = time.monotonic() + PATIENCE * 2
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.2)
    raise AssertionError("it never happened")


def test_which_process_did_it(tmp_path: Path) -> None:
    """It is found by the time after its end, for its memory; values and events are there too."""
    with Daemon(tmp_path, ini=OFTEN) as daemon:
        eater = subprocess.Popen([sys.executable, "-c", EATER], stdout=subprocess.PIPE)
        try:
            assert eater.stdout is not None
            eater.stdout.readline()
            then = until(lambda: [
                row for row in rows(daemon, "ps", "--at", "0s", "--sort", "rss", "--top", "5")
                if row["pid"] == eater.pid and (row["rss"] or 0) > 290_000_000
            ])[0]  # fmt: skip
        finally:
            eater.kill()
            eater.wait()
        moment = str(wall_clock())
        until(lambda: eater.pid not in [row["pid"] for row in rows(daemon, "ps", "--at", "0s")])
        found = {row["pid"]: row for row in rows(daemon, "ps", "--at", f"{float(moment) - 0.5}")}
        assert found[eater.pid]["identity"] == then["identity"]
        assert found[eater.pid]["command"].startswith(sys.executable)
        assert rows(daemon, "ps", "--at", "1h") == []
        assert "join" in [row["kind"] for row in rows(daemon, "events", "--since", "-1m")]
        values = rows(daemon, "history", str(found[eater.pid]["node"]), "load,tmem", "--since", "20s")
        assert {row["field"] for row in values} == {"load", "tmem"}
        table = gom(daemon, "history", str(found[eater.pid]["node"]), "tmem", "--since", "20s", "--csv")
        assert table.startswith("time,field,min,mean,max,node,by\n")
        assert (daemon.state / "history.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_killed_daemon_loses_two_seconds_at_most(tmp_path: Path) -> None:
    """The file is whole, the pause is a gap, and a file of a newer gomd costs the history only."""
    path = tmp_path / "state" / "history.sqlite"
    with Daemon(tmp_path, ini=OFTEN) as daemon:
        [own] = rows(daemon, "node")
        node = str(own["id"])
        until(lambda: rows(daemon, "history", node, "load", "--since", "5s"))
        daemon.kill()
        killed = wall_clock()
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        [last] = connection.execute("SELECT max(time) FROM recent").fetchone()
        assert killed - last < 6.0  # two seconds, and what a busy machine adds; the benchmark measures it
        connection.close()
        time.sleep(3.0)
        daemon.start()
        again = until(lambda: [
            row["time"] for row in rows(daemon, "history", node, "load", "--since", "60s", "--points=60")
            if row["time"] > killed + 2.9
        ])  # fmt: skip
        times = [row["time"] for row in rows(daemon, "history", node, "load", "--since=60s", "--points=60")]
        assert not [at for at in times if killed + 1.1 < at < again[0] - 1.1]
        daemon.stop()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 1000")
        connection.close()
        daemon.start()
        refused = subprocess.run(
            [GOM, "-c", daemon.unix, "history", node, "load"], capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert refused.returncode == 1
        assert "was written by a newer gomd" in refused.stderr
        assert rows(daemon, "node")


def test_two_daemons_do_not_share_a_file(tmp_path: Path) -> None:
    """The second start is refused with what to set; with a file of its own it starts."""
    with Daemon(tmp_path) as daemon:
        second = tmp_path / "second"
        second.mkdir()
        refused = run(
            second, "--state-dir", str(second / "state"), "--telnet", "unix:",
            "--set", f"history.file={daemon.state}/history.sqlite",
        )  # fmt: skip
        assert refused.returncode != 0
        assert "another daemon writes the history" in refused.stderr


def test_the_old_name_of_the_section(tmp_path: Path) -> None:
    """A gomd.ini of before starts with its flat files and a warning, and verbs say what to set."""
    with Daemon(tmp_path, ini="[log]\nkind = flat\n") as daemon:
        daemon.wait_for(r"\[log\] is called \[history\] now")
        until((daemon.state / "samples" / "samples.log").exists)
        assert not (daemon.state / "history.sqlite").exists()
        with daemon.connect() as line:
            assert "set [history] kind = sqlite" in line.ask("nodes --at 1h").text


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Daemon]]:
    """Three nodes of one cluster on loopback."""
    key = tmp_path / "key"
    subprocess.run([GOM, "key", "new", str(key)], check=True, capture_output=True)
    started: list[Daemon] = []
    try:
        seeds = ""
        for number in (1, 2, 3):
            daemon = Daemon(
                tmp_path / f"n{number}", "--node-id", str(number), "--name", f"n{number}",
                "--key-file", str(key), *(("--seeds", seeds) if seeds else ()),
            ).start()  # fmt: skip
            started.append(daemon)
            if not seeds:
                ports = daemon.wait_for(r"PeerProtocol starting on (\d+)")
                seeds = f"127.0.0.1:{ports[1]}"
        yield started
    finally:
        for daemon in started:
            daemon.end()


def test_a_dead_node_is_remembered_by_the_others(three: list[Daemon]) -> None:
    """Its load and its busiest processes are told by a node that heard it, which says so."""
    first, second, third = three
    until(lambda: sum(row["up"] for row in rows(first, "nodes")) == 3)
    end = time.monotonic() + 4 * PATIENCE
    for each in (first, second):  # one that remembers nothing yet asks the other
        with each.connect_unix() as line:
            itself = rf"[1-9].* as node {1 + (each is second)} "
            while not re.match(itself, line.ask("ps --at 0s --of 3").text):
                assert time.monotonic() < end, "it never remembered"
                time.sleep(0.2)
    until(lambda: [row for row in rows(first, "nodes", "--at", "0s") if row["id"] == 3])
    third.signal(signal.SIGKILL)
    until(lambda: not next(row for row in rows(first, "nodes") if row["id"] == 3)["up"])
    found = rows(first, "@3", "ps", "--at", "1s")
    assert {row["node"] for row in found} == {3}
    assert 10 <= len(found) <= 20
    assert all(row["cpu_percent"] is not None or row["rss"] is not None for row in found)
    values = rows(first, "history", "3", "load", "--since", "5m")
    assert values
    assert {(row["node"], row["by"]) for row in values} == {(3, 1)}
    with first.connect_unix() as line:
        status = line.ask("@n3 ps --at 1s --top 3").text
    assert status.startswith("3 of ")
    assert status.endswith("as node 1 n1 remembers them")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make disks that are full or read-only")
def test_a_disk_that_is_full_and_one_that_is_read_only(tmp_path: Path) -> None:
    """What cannot be written is counted, the file stays whole and can be read, and it goes on by itself."""
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-m", "tests.integration.history_disk", str(tmp_path)],
        capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
