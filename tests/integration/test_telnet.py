"""The telnet line of a real daemon on this machine's /proc: by hand, by programs, by those who mean ill."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libgomd.model import Event, Node, Process, VerbHelp
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon, output_of
from tests.integration.line import Line, Reply

GOM = (sys.executable, "-c", "import sys; from gom.command import run; sys.exit(run())")
COMMANDS = """
[commands]
greet = /bin/echo hello there
fail = /bin/sh -c 'echo oops >&2; exit 3'
dots = /bin/echo .
killed = /bin/sh -c 'kill -9 $$'
wait = /bin/sh -c 'echo $$; exec /bin/sleep 600'
flood = /usr/bin/yes
[node]
command_timeout = 20
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One daemon for the tests that leave it as it was; its unix socket is for every user."""
    with tempfile.TemporaryDirectory(prefix="gomd-test-") as directory:
        Path(directory).chmod(0o755)
        program = Path(directory, "vanished")
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        ini = COMMANDS.replace("[commands]", f"[commands]\nvanished = {program}")
        with Daemon(
            Path(directory), "--telnet", f"tcp:127.0.0.1:0,unix:{directory}/sock", ini=ini
        ) as running:
            program.unlink()
            running.socket = Path(directory, "sock")
            yield running


@pytest.fixture
def line(daemon: Daemon) -> Iterator[Line]:
    """A connection over tcp."""
    with daemon.connect() as connected:
        yield connected


@pytest.fixture
def admin(daemon: Daemon) -> Iterator[Line]:
    """A connection over the unix socket."""
    with daemon.connect_unix() as connected:
        yield connected


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that sleeps."""
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        yield process
        process.kill()


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where ``program`` is not installed."""
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


# -- by hand


@needs("telnet")
def test_with_the_telnet_client(daemon: Daemon) -> None:
    """Its option bytes are no trouble; `quit` ends it."""
    with subprocess.Popen(
        ["telnet", "127.0.0.1", str(daemon.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        expiry = signal.alarm(int(PATIENCE))
        assert any(text.startswith("220 gomd ") for text in client.stdout)
        client.stdin.write("load\nget /proc/version\nquit\n")
        client.stdin.flush()
        rest = client.stdout.read()
        signal.alarm(expiry)
    assert re.search(r"^200 \d+$", rest, re.MULTILINE)
    assert "Linux version" in rest
    assert "221 bye" in rest


@needs("nc")
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_with_nc(daemon: Daemon, end: str) -> None:
    """What is piped in is answered in order, and the connection ends."""
    found = output_of(
        ["nc", "127.0.0.1", str(daemon.port)], end.join(["cpus", "speed", "quit", ""])
    ).splitlines()
    assert found[0].startswith("220 gomd ")
    assert found[1] == f"200 {os.cpu_count()}"
    assert re.fullmatch(r"200 [1-9]\d*", found[2])
    assert found[3:] == ["221 bye"]


@needs("nc")
def test_with_nc_that_says_no_more(daemon: Daemon) -> None:
    """`echo ps | nc -N` gets the whole table, then the end."""
    found = output_of(["nc", "-N", "127.0.0.1", str(daemon.port)], "ps\nload\n").splitlines()
    assert found[1].startswith("201 ")
    end = found.index(".")
    assert found[2].split()[:2] == ["NODE", "PID"]
    assert any(text.split()[1] == "1" for text in found[3:end])
    assert found[end + 1].startswith("200 ")
    assert len(found) == end + 2


@needs("nc")
def test_with_nc_over_the_unix_socket(daemon: Daemon) -> None:
    """The kernel tells the daemon who calls."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    found = output_of(["nc", "-U", daemon.socket], "whoami\nquit\n").splitlines()
    assert found[1:] == [f"200 admin {user} via unix", "221 bye"]


# -- every verb, in both formats


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


# -- roles


def test_over_tcp_a_stranger_only_reads(line: Line, sleeper: subprocess.Popen[bytes]) -> None:
    """403, and nothing happens."""
    for request in (f"signal {sleeper.pid} KILL", f"renice {sleeper.pid} 5", "stay", "do greet", "shutdown",
                    "put /proc/hpc/admin/stay 1"):  # fmt: skip
        assert line.ask(request).code == 403, request
    assert sleeper.poll() is None
    assert line.ask("get /proc/1/io").code == 403
    assert line.ask("status").text == "3 up"


def test_a_token_raises_the_role(start_daemon: StartDaemon) -> None:
    """`gom token add` makes it for the running daemon; its role and no more; removed it is worth nothing."""
    daemon = start_daemon(ini="[telnet]\nanonymous = none\n" + COMMANDS)
    file = daemon.state / "tokens"
    user = (
        pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "nobody"
    )  # a user's token is no system user's
    tokens = {
        role: output_of([*GOM, "token", "add", name, role, "--file", file]).strip()
        for name, role in (("reader", "read"), (user, "user"), ("boss", "admin"))
    }
    assert all(token not in file.read_text() for token in tokens.values())
    for role, can, cannot in (
        ("read", "load", "do greet"),
        ("user", "load", "stay"),
        ("admin", "do greet", ""),
    ):
        with daemon.connect() as line:
            assert line.ask("load").code == 401
            assert line.ask("whoami").text.startswith("none ")
            assert line.ask("auth wrong").code == 403
            assert line.ask(f"auth {tokens[role]}").text.startswith(f"{role} ")
            assert line.ask(can).code in (200, 201)
            assert not cannot or line.ask(cannot).code == 403
    output_of([*GOM, "token", "remove", "boss", "--file", file])
    with daemon.connect() as line:
        assert line.ask(f"auth {tokens['admin']}").code == 403
    file.chmod(0o644)
    with daemon.connect() as line:
        assert line.ask(f"auth {tokens['user']}").code == 405
    assert tokens["admin"] not in daemon.log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@needs("nc")
def test_nobody_is_a_user_over_the_unix_socket(daemon: Daemon, sleeper: subprocess.Popen[bytes]) -> None:
    """The kernel says so; he may do to his own processes what the kernel lets him, to others' nothing."""
    with subprocess.Popen(["/bin/sleep", "600"], user="nobody") as own:
        requests = (
            f"whoami\nsignal {sleeper.pid} KILL\nstay\nget /proc/{sleeper.pid}/io\nget /proc/{own.pid}/io\n"
        )
        requests += f"renice {own.pid} 3\nrenice {own.pid} 0\nsignal {own.pid} KILL\nquit\n"
        found = output_of(["nc", "-U", daemon.socket], requests, user="nobody").splitlines()
        assert own.wait(PATIENCE) == -signal.SIGKILL
    assert found[1] == "200 user nobody via unix"
    assert [text[:3] for text in found[2:5]] == ["403"] * 3
    assert found[5].startswith("201 ")
    codes = [text[:3] for text in found[found.index(".") + 1 :]]
    assert codes == ["200", "403", "200", "221"]
    assert sleeper.poll() is None


# -- do


def test_do_gives_output_and_exit_status(admin: Line) -> None:
    """Both streams, in order, the status in the last line; dots are doubled on the wire."""
    assert admin.ask("do greet") == (201, "greet runs", ["hello there", "exit 0"])
    assert admin.ask("do fail").block == ["oops", "exit 3"]
    assert admin.ask("do dots").block == [".", "exit 0"]
    assert admin.ask("do killed").block == ["exit 137"]
    assert admin.ask("do vanished").code == 405
    assert admin.ask("do nothing").code == 404
    assert admin.ask("do greet -n").code == 400
    admin.ask("format json")
    assert admin.ask("do greet").rows == [{"line": "hello there", "exit": None}, {"line": None, "exit": 0}]


@pytest.mark.parametrize("leave", [Line.close, Line.say_no_more])
def test_a_command_is_killed_when_its_client_goes(daemon: Daemon, leave: Any) -> None:
    """Nothing runs on for nobody."""
    with daemon.connect_unix() as admin:
        admin.send(b"do wait\r\n")
        assert admin.line().startswith("201 ")
        pid = int(admin.line())
        descriptor = os.pidfd_open(pid)
        leave(admin)
        wait_for_end(descriptor)


def test_a_command_is_killed_at_its_time_limit(start_daemon: StartDaemon) -> None:
    """It says so, and how it ended."""
    daemon = start_daemon(ini=COMMANDS.replace("command_timeout = 20", "command_timeout = 0.3"))
    with daemon.connect_unix() as admin:
        pid, killed, end = admin.ask("do wait").block or []
        assert "time limit" in killed
        assert end == "exit 143"
        assert not Path(f"/proc/{pid}").exists()
        assert admin.ask("load").code == 200


def test_a_command_that_floods_is_slowed_down(daemon: Daemon) -> None:
    """A client that does not read stops it; memory does not grow."""
    with daemon.connect_unix() as admin, daemon.connect() as other:
        admin.send(b"do flood\r\n")
        assert admin.line().startswith("201 ")
        before = daemon.rss()
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert other.ask("load").code == 200
        assert daemon.rss() - before < 20e6


def wait_for_end(descriptor: int) -> None:
    """Wait until the process behind a pidfd has ended."""
    import select

    try:
        assert select.select([descriptor], [], [], PATIENCE)[0], "it still runs"
    finally:
        os.close(descriptor)


# -- bad input


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"x" * 4097, 413),
        (b"x" * 200_000, 413),
        (b"load \0", 400),
        (b"\xff\xfe\xc3\x28 load", 400),
        (b"\xc3\x28", 400),
        (b"", 400),
        (b"   \t ", 400),
        (b"'load", 400),
        (b"@", 400),
        (b"@nowhere load", 404),
        (b"no-such-verb", 400),
        (b"load \x1b[2J", 400),
        ("løad".encode(), 400),
        (b"get /proc/../etc/passwd", 403),
        (b"get /proc/1/../../etc/passwd", 403),
        (b"get /proc/1/root/etc/passwd", 403),
        (b"get /proc/self/environ", 403),
        (b"get /proc/1/environ", 403),
        (b"get /proc/1/fd/0", 403),
        (b"get /proc/1/cwd", 403),
        (b"get /etc/passwd", 403),
        (b"get proc/loadavg", 400),
        (b"get /proc/" + b"x" * 4000, 400),
        (b"get /proc/kcore", 403),
        (b"get /proc", 405),
        (b"ls /proc/nothing", 403),
        (b"get /proc/4194304/stat", 404),
        (b"ps 0", 400),
        (b"ps -1", 400),
        (b"ps 99999999999999999999", 400),
        ("ps ٣".encode(), 400),
        (b"watch", 400),
        (b"watch shutdown", 400),
        (b"watch -n 0 load", 400),
        (b"watch -n nan load", 400),
        (b"watch watch load", 400),
        (b"format yaml", 400),
        (b"node 0", 404),
        (b"load 70000", 404),
    ],
)
def test_what_cannot_be_understood_is_said_so(line: Line, sent: bytes, code: int) -> None:
    """One line with its code and a sentence; the connection goes on."""
    line.send(sent + b"\r\nload\r\n")
    reply = line.reply()
    assert reply.code == code, reply
    assert len(reply.text) > 10
    assert "Traceback" not in reply.text
    assert line.reply().code == 200


def test_telnet_options_are_dropped(line: Line) -> None:
    """Negotiation in the middle of a line, cut anywhere, and an interrupt."""
    for part in (b"\xff\xfb\x01\xff\xfd\x03lo\xff", b"\xf6ad", b"\xff\xfa\x18\x00xte", b"rm\xff\xf0\r\n"):
        line.send(part)
        time.sleep(0.02)  # a packet of its own
    assert line.reply().code == 200


def test_a_request_may_come_byte_by_byte(line: Line) -> None:
    """And several may come at once; replies keep their order."""
    for byte in b"cpus\r\n":
        line.send(bytes([byte]))
    assert line.reply().text == str(os.cpu_count())
    line.send(b"cpus\nps 1\nload\nversion\nnonsense\ncpus\n")
    assert [line.reply().code for _ in range(6)] == [200, 201, 200, 200, 400, 200]


def test_thousands_of_pipelined_requests(line: Line) -> None:
    """A reply for each."""
    line.send(b"load\n" * 5000 + b"version\n")
    replies = [line.reply() for _ in range(5001)]
    assert {reply.code for reply in replies} == {200}
    assert replies[-1].text.startswith("gomd ")


def test_a_half_line_gets_the_idle_timeout(start_daemon: StartDaemon) -> None:
    """It is told what is missing, then closed; so is who says nothing. The one who works stays."""
    daemon = start_daemon(ini="[telnet]\nidle_timeout = 0.5\n")
    with daemon.connect() as silent, daemon.connect() as half, daemon.connect() as watching:
        half.send(b"load")
        watching.send(b"watch -n 0.2 load\r\n")
        assert half.reply().code == 400
        assert half.at_end()
        assert silent.at_end()
        assert watching.line().startswith("201 ")
        assert watching.block_line() is not None


def test_two_thousand_idle_connections(start_daemon: StartDaemon) -> None:
    """One more works as if it were alone; over the limit callers are told 429, an admin is let in."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3000:
        pytest.skip("this user may not open 3,000 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    daemon = start_daemon(ini="[telnet]\nmax_connections = 2001\n")
    with contextlib.ExitStack() as idle:
        for _ in range(2000):
            idle.enter_context(daemon.connect())
        line = idle.enter_context(daemon.connect())
        for _ in range(100):
            assert line.ask("load").code == 200
        assert line.ask("ps 1").code == 201
        one_more = idle.enter_context(daemon.connect())
        assert one_more.greeting.startswith("429 ")
        assert one_more.at_end()
        assert idle.enter_context(daemon.connect_unix()).ask("stats").code == 201
        assert daemon.rss() < 150e6
    with daemon.connect_unix() as admin:
        admin.ask("format json")
        counters = {row["name"]: row["value"] for row in admin.ask("stats").rows}
    assert counters["telnet_connections_most"] >= 2001
    assert counters["telnet_turned_away"] >= 1


def test_a_reader_that_stops_reading_is_dropped(start_daemon: StartDaemon) -> None:
    """Memory stays bounded, the log says why, and the others notice nothing."""
    daemon = start_daemon(
        "--set", "telnet.stall_timeout=1", ini="[collector]\nperiod = 0.2\nprocesses_period = 0.2\n"
    )
    with daemon.connect() as stuck, daemon.connect() as other:
        other.ask("ps")
        before = daemon.rss()
        stuck.send(b"format json\r\nwatch -n 0.1 ps\r\n" + b"ps\r\n" * 2000)
        seen = len(daemon.lines)
        asked = 0
        while not any("dropped" in text for text in daemon.lines[seen:]):
            assert other.ask("load").code == 200
            asked += 1
            assert asked < 1_000_000
        assert daemon.rss() - before < 30e6
        daemon.wait_for(r"dropped tcp 127\.0\.0\.1:\d+: it took nothing of its answer for 1 s", seen)
        assert other.ask("load").code == 200


def test_a_reader_that_is_slow_gets_everything(line: Line) -> None:
    """Replies wait for him, in order and whole."""
    line.send(b"ps\n" * 200 + b"version\n")
    time.sleep(0.5)  # until the daemon has filled what the kernel keeps for us
    replies: list[Reply] = [line.reply() for _ in range(201)]
    assert all(reply.code == 201 and reply.block for reply in replies[:-1])
    assert replies[-1].text.startswith("gomd ")


def test_no_traceback_was_logged_meanwhile(daemon: Daemon) -> None:
    """Whatever the tests above sent."""
    assert "Traceback" not in daemon.log
