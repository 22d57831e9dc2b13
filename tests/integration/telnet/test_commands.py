"""The commands of an administrator, as `do` runs them on the telnet line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.line import Line
from tests.integration.telnet.conftest import COMMANDS


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


def test_a_daemon_without_commands_says_where_to_name_some(start_daemon: StartDaemon) -> None:
    """One sentence, which says what to do."""
    with start_daemon().connect_unix() as admin:
        answer = admin.ask("do uptime")
    assert (answer.code, answer.text) == (
        404,
        "there is no command uptime: none is configured, name some in [commands]",
    )


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


def test_no_traceback_was_logged_meanwhile(daemon: Daemon) -> None:
    """Whatever the tests above sent."""
    assert "Traceback" not in daemon.log
