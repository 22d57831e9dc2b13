"""What one caller may take of a real daemon, and what it leaves to the others. Two hosts of namespaces."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.cluster.asking import ask, eventually, see, start
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host, Network

#: Opens connections of one address of a host's loopback, says a line on each, and then what root says.
MANY = """
import json, socket, sys
port, count, line = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode() + b"\\r\\n"
kept, codes = [], {}
for _ in range(count):
    connected = socket.create_connection(("127.0.0.1", port), 30)
    file = connected.makefile("rb")
    file.readline()
    connected.sendall(line)
    code = file.readline()[:3].decode()
    codes[code] = codes.get(code, 0) + 1
    kept.append((connected, file))
print(json.dumps(codes), flush=True)
sys.stdin.read()
for connected, file in kept:
    connected.sendall(b"quit\\r\\n")
    file.read()
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Host, Host]]:
    """Two hosts of one cluster."""
    if reason := hosts.missing():
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="gomd-places-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            first, second = network.add(home / "key"), network.add(home / "key")
            start([first, second])
            see([first, second], frozenset((1, 2)))
            yield first, second
    finally:
        shutil.rmtree(home)


@contextlib.contextmanager
def many(host: Host, count: int, line: str) -> Iterator[dict[str, int]]:
    """Let an anonymous caller say a line on many connections; how often each code was the answer."""
    words = (sys.executable, "-c", MANY, str(host.daemon.port), str(count), line)
    process = host.popen(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            assert process.wait(PATIENCE) == 0


def test_long_watches_of_other_nodes_leave_the_others_theirs(pair: tuple[Host, Host]) -> None:
    """One address has 64; users and root go on as if nothing was."""
    first, _second = pair
    with many(first, 70, "@2 watch -n 3600 load") as codes:
        assert codes == {"201": 64, "429": 6}
        assert ask(first, "@2 load").code == 200
        rows = ask(first, "@all load", as_json=True).rows
        assert [sorted(row) for row in rows] == [["from", "value"]] * 2
        line = "@2 load\n@2 ps 1\n@all load\nquit\n"
        said = first.run("nc", "-U", str(first.home / "gomd.sock"), text=line, user="nobody").splitlines()
        assert not [text for text in said if text.startswith(("429", "5"))], said
    assert ask(first, "@2 load").code == 200


def test_hundreds_of_reads_by_one_address(pair: tuple[Host, Host]) -> None:
    """Three hundred watch a file, sixty have asked all nodes: root is answered as ever."""
    first, _second = pair
    with many(first, 300, "watch -n 1 get /proc/stat") as codes, many(first, 60, "@all ps") as everywhere:
        assert (codes, everywhere) == ({"201": 300}, {"201": 60})
        for _ in range(50):
            assert ask(first, "get /proc/loadavg").code == 201
        assert ask(first, "@2 get /proc/stat").code == 201


def greeting(address: Any, source: str = "") -> tuple[socket.socket, bytes]:
    """Connect, from an address of the loopback where one is given, and return the greeting."""
    connected = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    connected.settimeout(PATIENCE)
    if source:
        connected.bind((source, 0))
    connected.connect(address)
    return connected, connected.recv(4096)


def test_no_address_and_no_group_keeps_the_others_out(start_daemon: StartDaemon) -> None:
    """Of twenty places one address may have all; then another one gets in, and root, and users."""
    daemon = start_daemon(ini="[telnet]\nmax_connections = 20\n")
    here = ("127.0.0.1", daemon.port)
    open_: list[socket.socket] = []
    said = []
    for source in ("127.0.0.1",) * 21 + ("127.0.0.2",) * 11:
        connected, text = greeting(here, source)
        open_.append(connected)
        said.append(text[:3].decode())
    assert said == ["220"] * 20 + ["429"] + ["220"] * 10 + ["429"]
    connected, text = greeting(str(daemon.socket))
    open_.append(connected)
    assert text.startswith(b"220 ")
    for each in open_:
        each.close()


def test_reads_by_hundreds_of_connections_leave_root_its_threads(start_daemon: StartDaemon) -> None:
    """Six hundred ask for a file at once, again and again; root is let in and answered between them."""
    daemon = start_daemon()
    readers = [greeting(("127.0.0.1", daemon.port))[0] for _ in range(600)]
    for _ in range(5):
        for reader in readers:
            reader.sendall(b"get /proc/meminfo\r\n")
        for _ in range(5):
            with daemon.connect_unix() as line:
                assert line.ask("get /proc/loadavg").code == 201
        for reader in readers:
            data = b""
            while not data.endswith(b"\r\n.\r\n"):
                data += reader.recv(65536)
            assert data.startswith(b"201 ")
    for reader in readers:
        reader.close()


def test_a_caller_that_has_vanished_is_noticed(start_daemon: StartDaemon) -> None:
    """The kernel probes each connection: a watch of an hour does not keep the place of one who is gone."""
    daemon = start_daemon()
    with daemon.connect() as line:
        line.ask("load")
        theirs = f"0100007F:{line.local_port:04X}"

        def ticks() -> int:
            rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
            [timer] = [row[5] for row in rows if row[2] == theirs]
            kind, _, left = timer.partition(":")
            return int(left, 16) if kind == "02" else 0  # the kind of keepalive

        assert 0 < eventually(ticks) <= 30 * os.sysconf("SC_CLK_TCK")


def test_guessing_tokens_is_a_few_lines_of_log(start_daemon: StartDaemon) -> None:
    """Ten on each connection, then it ends; the log has one line, the counter has them all."""
    daemon = start_daemon()
    before = len(daemon.lines)
    for _ in range(50):
        connected, _text = greeting(("127.0.0.1", daemon.port))
        connected.sendall(b"auth guess\r\n" * 15)
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while more := connected.recv(65536):
                data += more
        assert data.count(b"403 ") <= 10
        connected.close()
    with daemon.connect_unix() as admin:
        admin.ask("format json")
        counters = {row["name"]: row["value"] for row in admin.ask("stats").rows}
    assert counters["auth_bad"] == 500
    assert len([line for line in daemon.lines[before:] if "tokens that are not known came from" in line]) == 1
    assert len("\n".join(daemon.lines[before:])) < 2000
