"""Every verb of the telnet line, in both formats."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from libgomd.model import Event, Node, Process, VerbHelp
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.line import Line


def test_every_verb_of_the_contract_is_there(line: Line) -> None:
    """`help` lists each with its role; `help VERB` that one."""
    roles = {
        "read": "version nodes node load speed mem util cpus status ls get ps where watch events stats",
        "user": "signal renice",
        "admin": "put stay nostay lstay nolstay block noblock quiet noquiet bring expel setspeed setyard do "
        "shutdown",
    }
    line.ask("format json")
    found = {row["verb"]: row for row in line.ask("help").rows}
    for role, names in roles.items():
        for name in names.split():
            assert found[name]["role"] == role, name
            assert line.ask(f"help {name}").rows == [found[name]]
    assert {"help", "whoami", "auth", "format", "quit"} <= set(found)
    assert all(set(row) == set(VerbHelp.JSON) for row in found.values())


@pytest.mark.parametrize("verb", ["load", "speed", "util", "cpus"])
def test_short_answers(line: Line, verb: str) -> None:
    """`200 N`, for this node with and without its id and name, and `@`."""
    _, _, _, _, own, name = line.greeting.split()
    for request in (
        verb,
        f"{verb} {own}",
        f"{verb} {name}",
        f"@{own} {verb}",
        f"@{name} {verb}",
        verb.upper(),
    ):
        assert re.fullmatch(r"\d+", line.ask(request).text), request
    line.ask("format json")
    reply = line.ask(verb)
    assert reply.code == 200
    assert type(reply.value) is int


def test_memory_and_status(line: Line) -> None:
    """`mem` has three numbers of bytes, `status` the bits and their words."""
    mem, rmem, tmem = (int(word) for word in line.ask("mem").text.split())
    assert 0 < rmem <= tmem
    assert 0 < mem <= tmem
    total = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    assert total
    assert tmem == int(total[1]) * 1024
    assert line.ask("status") == (200, "3 up", None)
    line.ask("format json")
    assert line.ask("mem").value["tmem"] == tmem
    assert line.ask("status").value == {"status": 3, "words": "up"}


def test_nodes(line: Line) -> None:
    """A table under headings in text, objects in json."""
    _, _, _, _, own, name = line.greeting.split()
    heading, row = line.ask("nodes").block or []
    assert heading.split()[:5] == ["ID", "NAME", "ADDRESS", "STATUS", "LOAD"]
    assert row.split()[:2] == [own, name]
    line.ask("format json")
    for request in ("nodes", "node", f"node {own}", f"node {name}"):
        [found] = line.ask(request).rows
        assert set(found) == set(Node.JSON)
        assert (found["id"], found["name"], found["up"], found["status"]) == (int(own), name, True, 3)
        assert found["age"] < PATIENCE


def test_processes(line: Line, sleeper: subprocess.Popen[bytes]) -> None:
    """One just started is found by its pid; every row has every name of the contract."""
    own = int(line.greeting.split()[4])
    heading, row = line.ask(f"ps {sleeper.pid}").block or []
    assert heading.split()[-1] == "COMMAND"
    assert row.endswith("/bin/sleep 600")
    assert line.ask(f"where {sleeper.pid}") == (200, str(own), None)
    line.ask("format json")
    [found] = line.ask(f"ps {sleeper.pid}").rows
    assert set(found) == set(Process.JSON)
    assert found["pid"] == sleeper.pid
    assert found["ppid"] == os.getpid()
    assert found["uid"] == os.getuid()
    assert found["command"] == "/bin/sleep 600"
    assert (found["where"], found["node"], found["home"]) == (0, own, own)
    assert found["read_rate"] is None  # its owner's business
    assert abs(found["start_time"] - now()) < PATIENCE
    table = line.ask("ps").rows
    assert [row["pid"] for row in table] == sorted(row["pid"] for row in table)
    assert line.ask("where 4194304").code == 404


def test_the_tree(line: Line) -> None:
    """`ls` walks it, `get` shows what the kernel shows."""
    own = line.greeting.split()[4]
    names = line.ask("ls /proc").block or []
    assert {"hpc", "loadavg", "1"} <= set(names)
    assert line.ask("ls /proc/hpc").block == ["NAME", "admin", "nodes", "remote"]
    assert line.ask("ls /proc/hpc/nodes").block == ["NAME", own]
    assert line.ask(f"get /proc/hpc/nodes/{own}/status").block == ["3"]
    assert line.ask("get /proc/version").block == [Path("/proc/version").read_text().rstrip("\n")]
    assert line.ask("get /proc/1/where").block == ["0"]
    line.ask("format json")
    reply = line.ask("get /proc/version")
    assert (reply.code, set(reply.value)) == (200, {"path", "text"})
    assert {"name": "hpc"} in line.ask("ls /proc").rows


def test_events_and_stats(line: Line) -> None:
    """The start of the daemon is the first event; everything it counts has a meaning."""
    assert "join" in (line.ask("events").block or [])[1]
    assert (line.ask("stats").block or [])[0].split() == ["NAME", "VALUE", "MEANING"]
    line.ask("format json")
    [event, *_] = line.ask("events").rows
    assert set(event) == set(Event.JSON)
    assert event["kind"] == "join"
    counters = {row["name"]: row for row in line.ask("stats").rows}
    assert counters["telnet_connections"]["value"] >= 1
    assert all(row["meaning"] for row in counters.values())


def test_watch(line: Line) -> None:
    """Round after round until the next request, which is answered as usual."""
    line.send(b"watch -n 0.1 load\r\n")
    assert line.line().startswith("201 ")
    assert [bool(re.fullmatch(r"\d+", line.line())) for _ in range(3)] == [True] * 3
    line.send(b"cpus\r\n")
    while line.block_line() is not None:
        pass
    assert line.reply() == (200, str(os.cpu_count()), None)
    assert len(line.ask("watch -c 2 -n 0.1 load").block or []) == 2
    line.ask("format json")
    rounds = [json.loads(text)["round"] for text in line.ask("watch -c 2 -n 0.1 status").block or []]
    assert rounds == [1, 2]


def test_version_whoami_and_format(line: Line) -> None:
    """The same facts as text and as json."""
    assert re.fullmatch(r"gomd \S+ protocol \d+", line.ask("version").text)
    assert re.fullmatch(r"read \S+ via tcp 127\.0\.0\.1:\d+", line.ask("whoami").text)
    assert line.ask("format") == (200, "text", None)
    assert line.ask("format json") == (200, '"json"', None)
    assert set(line.ask("version").value) == {"version", "protocol"}
    assert line.ask("whoami").value["role"] == "read"
    assert line.ask("format text") == (200, "text", None)


def test_the_switches_of_an_admin(start_daemon: StartDaemon) -> None:
    """Each does what openMosix's does, shows in `status` and in the tree, and is kept over a restart."""
    daemon = start_daemon()
    with daemon.connect_unix() as admin:
        for verb, bit, word in (
            ("stay", 4, "stay"),
            ("lstay", 8, "lstay"),
            ("block", 16, "block"),
            ("quiet", 32, "quiet"),
        ):
            assert admin.ask(verb).code == 200
            assert admin.ask("status").text == f"{3 | bit} up,{word}"
            assert admin.ask(f"get /proc/hpc/admin/{word}").block == ["1"]
            assert admin.ask(f"no{verb}").code == 200
            assert admin.ask("status").text == "3 up"
        assert admin.ask("put /proc/hpc/admin/stay 1").code == 200
        assert admin.ask("setspeed 12345") == (200, "speed is 12345", None)
        assert admin.ask("speed").text == "12345"
        assert admin.ask("setyard 10000").code == 200
        assert admin.ask("get /proc/hpc/admin/sspeed").block == ["10000"]
        for wrong in (
            "setspeed 0", "setspeed 100000001", "setspeed fast", "setspeed", "setspeed 1 2", "setyard 65536",
        ):  # fmt: skip
            assert admin.ask(wrong).code == 400, wrong
        assert admin.ask("put /proc/hpc/admin/version 2").code == 405
        assert admin.ask("put /proc/loadavg 1").code in (403, 405)
        assert admin.ask("checkpoint here").code == 200
        for verb, left in (("expel", "block"), ("bring", "lstay")):
            assert admin.ask(verb).code in (200, 405)
            assert left in admin.ask("status").text
    daemon.stop()
    with start_daemon(home=daemon.home).connect_unix() as admin:
        assert "stay" in admin.ask("status").text.split(",")
        assert admin.ask("speed").text == "12345"


def test_signals_and_niceness(admin: Line, sleeper: subprocess.Popen[bytes]) -> None:
    """As kill and renice of the same user."""
    assert admin.ask(f"renice {sleeper.pid} 7").code == 200
    assert os.getpriority(os.PRIO_PROCESS, sleeper.pid) == 7
    for wrong in (
        f"signal {sleeper.pid} NONE",
        f"signal {sleeper.pid} 65",
        "signal x TERM",
        f"renice {sleeper.pid} 20",
    ):
        assert admin.ask(wrong).code == 400, wrong
    assert admin.ask("signal 4194304 TERM").code == 404
    assert admin.ask(f"signal {sleeper.pid} term") == (200, f"sent SIGTERM to process {sleeper.pid}", None)
    assert sleeper.wait(PATIENCE) == -signal.SIGTERM


def now() -> float:
    """Seconds since the epoch, as the kernel counts them."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    booted = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    assert booted
    return int(booted[1]) + uptime


def test_no_traceback_was_logged_meanwhile(daemon: Daemon) -> None:
    """Whatever the tests above sent."""
    assert "Traceback" not in daemon.log
