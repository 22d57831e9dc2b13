"""The pages of a node and of a process in a real browser: charts of the past, and switches with reasons."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from gom import token as tokens
from libgomd.blocking import connect
from libgomd.wallclock import wall_clock
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import Daemon
from tests.integration.jobs import free_port, until
from tests.integration.page_browser import browser_or_skip, run_scenario
from tests.integration.test_page import REFUSED, url_of

OPTIONS = ("--http", "tcp:127.0.0.1:0", "--node-id", "1", "--name", "node1")
OFTEN = "[collector]\nperiod = 0.5\nprocesses_period = 0.5\n"
PICTURES = os.environ.get("GOMD_PICTURES")


@pytest.fixture(autouse=True)
def _browser() -> None:
    browser_or_skip()


def two_years_ago(daemon: Daemon) -> None:
    """Put two years of hours of one value before what the daemon has recorded."""
    path = daemon.state / "history.sqlite"
    with connect(daemon.unix) as client:
        until(lambda: client.history(1, "load", since="-1m"))
    daemon.stop()
    now = int(wall_clock()) // 3600 * 3600
    with sqlite3.connect(path) as connection:
        [field] = connection.execute("SELECT id FROM fields WHERE name = 'load'").fetchone()
        connection.executemany(
            "INSERT OR REPLACE INTO hours VALUES (?, ?, ?, ?, ?)",
            ((field, at, 96, 100, 9900) for at in range(now - 729 * 86400, now - 3600, 3600)),
        )
    connection.close()
    daemon.start()


def test_charts_of_any_span(start_daemon: StartDaemon) -> None:
    """Live, up to two years, chosen with the mouse or typed; a time that is not known is said to be that."""
    daemon = start_daemon(*OPTIONS[2:], "--http", f"tcp:127.0.0.1:{free_port()}", ini=OFTEN)
    two_years_ago(daemon)

    def on_turn(_word: str) -> str:
        time.sleep(60)  # for the pictures only
        return ""

    run_scenario("charts", on_turn, url=url_of(daemon), pictures=PICTURES)


def test_a_process_and_its_past(start_daemon: StartDaemon) -> None:
    """Charts of what it uses and used; its end is said."""
    daemon = start_daemon(*OPTIONS, ini=OFTEN)
    halves = [uuid.uuid4().hex, uuid.uuid4().hex]
    with subprocess.Popen([sys.executable, "-c", "while True: pass", "".join(halves)]) as busy:

        def on_turn(word: str) -> str:
            if word == "wait":
                with connect(daemon.unix) as client:
                    until(lambda: busy.pid in [each.pid for each in client.ps(at=wall_clock())])
            else:
                busy.kill()
                busy.wait()
            return ""

        try:
            # Between its end and the next round of the page, it may still be asked for.
            run_scenario("process", on_turn, url=url_of(daemon), halves=halves, expected=[REFUSED])
        finally:
            busy.kill()


def test_switches_have_reasons(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Whoever looks at the node sees who set a switch, when and why; a restart forgets none."""
    token = str(tokens.add(str(tmp_path / "tokens"), "root", "admin"))
    daemon = start_daemon(*OPTIONS, ini=f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n")

    def reason() -> str:
        with connect(daemon.tcp) as client:
            return next(each.reason or "" for each in client.switches() if each.switch == "block")

    run_scenario("reasons", lambda _word: reason(), url=url_of(daemon), token=token, expected=[REFUSED])
    daemon.stop()
    daemon.start()
    assert reason() == "maintenance"
