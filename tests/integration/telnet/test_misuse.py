"""What is no request on the telnet line, and connections that are idle, slow, or thousands."""

from __future__ import annotations

import contextlib
import os
import resource
import time

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import Daemon
from tests.integration.line import Line, Reply


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
    """Replies wait for the client, in order and whole."""
    line.send(b"ps\n" * 200 + b"version\n")
    time.sleep(0.5)  # until the daemon has filled what the kernel keeps for us
    replies: list[Reply] = [line.reply() for _ in range(201)]
    assert all(reply.code == 201 and reply.block for reply in replies[:-1])
    assert replies[-1].text.startswith("gomd ")


def test_no_traceback_was_logged_meanwhile(daemon: Daemon) -> None:
    """Whatever the tests above sent."""
    assert "Traceback" not in daemon.log
