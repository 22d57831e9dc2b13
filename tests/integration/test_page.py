"""The page in a real browser, with real daemons behind it: what people see and do, and what they cannot."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gom import token as tokens
from libgomd.blocking import connect
from tests.integration import many_nodes
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import Daemon
from tests.integration.jobs import free_port, jobs, until
from tests.integration.page_browser import browser_asleep, browser_or_skip, run_scenario
from tests.integration.test_criu import find_criu
from tests.integration.web import Web

#: What a browser writes on its console for a request that was refused, as it should be.
REFUSED = "Failed to load resource"
LOST = "net::ERR"


@pytest.fixture(autouse=True)
def _browser() -> None:
    browser_or_skip()


def url_of(daemon: Daemon) -> str:
    """Return where its page is."""
    return f"http://127.0.0.1:{Web(daemon).port}/"


@pytest.fixture
def token(tmp_path: Path) -> str:
    """The token of an admin."""
    return str(tokens.add(str(tmp_path / "tokens"), "root", "admin"))


class Pair:
    """Two nodes on loopback; node 1 has the page."""

    def __init__(self, home: Path, lane: int, *more: str) -> None:
        key = home / "key"
        key.touch(0o600)
        key.write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
        port, self.http = free_port(), free_port()
        addresses = {number: f"127.78.{lane}.{number}:{port}" for number in (1, 2)}
        self.nodes = {
            number: Daemon(
                home / f"node{number}", "--node-id", str(number), "--name", f"node{number}",
                "--key-file", str(key), "--peers", address, "--seeds", ",".join(addresses.values()),
                "--set", f"telnet.tokens_file={home / 'tokens'}", "--set", "node.speed=40000",
                *(("--http", f"tcp:127.0.0.1:{self.http}") if number == 1 else ()), *more,
            )
            for number, address in addresses.items()
        }  # fmt: skip
        for node in self.nodes.values():
            node.start()
        until(self.see_each_other)

    def see_each_other(self) -> bool:
        """Return whether each node says that both are up."""
        for node in self.nodes.values():
            with connect(node.unix) as client:
                if sum(each.up for each in client.nodes()) < 2:
                    return False
        return True

    def end(self) -> None:
        """End both."""
        for node in self.nodes.values():
            node.end()


@pytest.fixture
def pair(tmp_path: Path, token: str) -> Iterator[Pair]:
    """Two daemons of a cluster."""
    made = Pair(tmp_path, os.getpid() % 200 + 20)
    yield made
    made.end()


def test_tiles_follow_the_cluster(pair: Pair) -> None:
    """A node that dies is plain to see in seconds; a page that slept meanwhile shows what is so now."""

    def on_turn(word: str) -> str:
        if word == "kill 2":
            os.kill(pair.nodes[2].process.pid, signal.SIGKILL)
        elif word == "sleep":
            with browser_asleep():
                pair.nodes[1].stop()
                for node in (2, 1):
                    pair.nodes[node].start()
                until(pair.see_each_other)
        return ""

    run_scenario("tiles", on_turn, url=url_of(pair.nodes[1]), expected=[LOST, REFUSED])


def test_signing_in_and_out(start_daemon: StartDaemon, tmp_path: Path, token: str) -> None:
    """With a token, with the code of `gom page`; what is refused, and what ends an open session."""
    ini = f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n"
    daemon = start_daemon("--http", f"tcp:127.0.0.1:{free_port()}", ini=ini)
    with daemon.connect_unix() as line:
        code = line.ask("page").text.split()[-1]

    def on_turn(word: str) -> str:
        if word == "remove token":
            tokens.remove(str(tmp_path / "tokens"), "root")
        else:
            daemon.stop()
            daemon.start()
        return ""

    run_scenario("signing", on_turn, url=url_of(daemon), token=token, code=code, expected=[REFUSED, LOST])


@pytest.mark.skipif(os.geteuid() != 0, reason="criu needs root")
def test_a_job_is_dragged_onto_another_node(tmp_path: Path, token: str) -> None:
    """It goes on there; whether it could is said while it is dragged."""
    pair = Pair(tmp_path, os.getpid() % 200 + 20, "--set", f"jobs.criu={find_criu()}")
    script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done"
    told: list[str] = []

    def on_turn(word: str) -> str:
        told.append(word)
        [row] = jobs(pair.nodes[1])
        assert (row["node"], row["nmigs"], row["state"]) == (2, 1, "running")
        return ""

    try:
        run_scenario(
            "dragging", on_turn, url=url_of(pair.nodes[1]), token=token, command=f"sh -c '{script}'",
            pictures=os.environ.get("GOMD_PICTURES"),
        )  # fmt: skip
    finally:
        pair.end()
    assert told == ["moved 1"]


def test_the_keyboard_is_enough(start_daemon: StartDaemon, tmp_path: Path, token: str) -> None:
    """A process gets a signal by keys alone, after it was asked once."""
    ini = f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n"
    daemon = start_daemon("--http", "tcp:127.0.0.1:0", "--node-id", "1", "--name", "node1", ini=ini)
    halves = [uuid.uuid4().hex, uuid.uuid4().hex]
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "".join(halves)]) as victim:
        try:
            run_scenario(
                "keyboard", lambda _word: "yes" if victim.poll() is None else "no",
                url=url_of(daemon), token=token, halves=halves,
            )  # fmt: skip
            assert victim.wait(10) == -signal.SIGTERM
        finally:
            victim.kill()


def test_every_view_is_accessible(start_daemon: StartDaemon, tmp_path: Path, token: str) -> None:
    """axe-core finds nothing serious, light or dark; nothing is wider than a phone."""
    ini = f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n"
    daemon = start_daemon(
        "--http", "tcp:127.0.0.1:0", "--node-id", "1", "--name", "node1", "--source", "memory", ini=ini
    )
    run_scenario("views", url=url_of(daemon), token=token, pictures=os.environ.get("GOMD_PICTURES"))


def test_names_stay_text(tmp_path: Path) -> None:
    """The longest name of a node, one of 64 wide characters, and a process whose command is markup."""
    name, wide = "w" * 63, "猫" * 64
    marker = "<img src=x onerror=window.hacked=1>"
    daemon = Large(tmp_path / "large", 5, name=name, other=wide)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", marker]) as process:
        try:
            daemon.start()
            run_scenario(
                "names", url=url_of(daemon), long_name=name, wide=wide, marker=marker, expected=[REFUSED]
            )
        finally:
            process.kill()
            daemon.end()


def test_tabs_share_their_streams(start_daemon: StartDaemon) -> None:
    """However many there are; a hidden one has none."""
    daemon = start_daemon("--http", "tcp:127.0.0.1:0", "--node-id", "1")

    def on_turn(word: str) -> str:
        if word == "hidden":
            until(lambda: streams(daemon) == 0)
            return str(streams(daemon))
        return ""

    run_scenario("tabs", on_turn, url=url_of(daemon))


def streams(daemon: Daemon) -> int:
    """Return the open event streams of a daemon."""
    rows = Web(daemon).ask("GET", "/api/v1/stats").json["rows"]
    return int(next(row["value"] for row in rows if row["name"] == "http_streams"))


class Large(Daemon):
    """A daemon with simulated nodes beside it."""

    def __init__(self, home: Path, count: int, name: str = "node-0001", other: str = "") -> None:
        super().__init__(home, "--http", "tcp:127.0.0.1:0", "--node-id", "1", "--name", name)
        self._count = f"{count}:{other}"

    def command(self) -> Sequence[str]:
        """The command that starts it."""
        return (sys.executable, many_nodes.__file__, self._count, *self._options)


def test_thousands_of_nodes(tmp_path: Path) -> None:
    """The page has as many tiles as a browser lays out in time, says so, and finds every node."""
    daemon = Large(tmp_path / "large", 10_000)
    try:
        daemon.start()
        run_scenario("thousands", url=url_of(daemon), count=10_000)
        assert len(Web(daemon).ask("GET", "/api/v1/nodes").json["rows"]) == 10_000
    finally:
        daemon.end()


@pytest.mark.parametrize("count", [200, 1000])
def test_many_nodes(tmp_path: Path, count: int) -> None:
    """Each has a tile with its name, and the page keeps up with all of them once a second."""
    daemon = Large(tmp_path / "large", count)
    try:
        daemon.start()
        run_scenario(
            "many", url=url_of(daemon), count=count, pictures=os.environ.get("GOMD_PICTURES"),
            browser={"locale": "ar-EG" if count == 200 else "de-DE"},
        )  # fmt: skip
    finally:
        daemon.end()
