"""Real daemons whose cluster is a fixed list in openMosix's format: `[peers] engine = map`."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon, run


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    """A map of two nodes, 2 and 3."""
    path = tmp_path / "map"
    path.write_text("# two nodes\n2 127.0.0.2 2\n")
    return path


def free_port() -> int:
    """Return a number that is free now for datagrams and for streams."""
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        stream.bind(("127.0.0.2", 0))
        datagram.bind(("127.0.0.2", stream.getsockname()[1]))
        return int(stream.getsockname()[1])


def options(nodes: Path, address: str, port: int) -> list[str]:
    """Return what makes a daemon one of the map's."""
    return [
        "--peers", f"{address}:{port}", "--set", "peers.engine=map", "--set", f"peers.map_file={nodes}",
    ]  # fmt: skip


def up(daemon: Daemon) -> list[int]:
    """Return the ids of the nodes that ``daemon`` sees up."""
    with daemon.connect() as line:
        line.ask("format json")
        return [row["id"] for row in line.ask("nodes").rows if row["up"]]


def test_the_nodes_of_a_map_find_each_other(nodes: Path, start_daemon: StartDaemon) -> None:
    """Ids come from the map; each is listed before it is heard, and up once it is."""
    port = free_port()
    key = nodes.with_name("key")
    new_key_file(str(key))
    first = start_daemon(*options(nodes, "127.0.0.2", port), "--key-file", str(key))
    with first.connect() as line:
        assert line.greeting.startswith("220 gomd ")
        assert " node 2 " in line.greeting
        assert line.ask("status 3").text == "1 down"
    start_daemon(*options(nodes, "127.0.0.3", port), "--key-file", str(key))
    end = time.monotonic() + PATIENCE
    while up(first) != [2, 3]:
        assert time.monotonic() < end, first.log
        time.sleep(0.1)
    with first.connect() as line:
        assert line.ask("map").block == ["# FIRST-ID ADDRESS   COUNT", "         2 127.0.0.2     2"]
        assert line.ask("@3 whoami").code == 200


def test_nodes_with_ports_of_their_own(nodes: Path, start_daemon: StartDaemon) -> None:
    """A map may name the port of a node, by IPv6 in brackets; a node with another one does not start."""
    ports = [free_port(), free_port()]
    nodes.write_text(f"2 127.0.0.2:{ports[0]} 1\n3 127.0.0.3:{ports[1]} 1\n3 [fd00::3]:{ports[1]} ALIAS\n")
    key = nodes.with_name("key")
    new_key_file(str(key))
    first = start_daemon(*options(nodes, "127.0.0.2", ports[0]), "--key-file", str(key))
    start_daemon(*options(nodes, "127.0.0.3", ports[1]), "--key-file", str(key))
    end = time.monotonic() + PATIENCE
    while up(first) != [2, 3]:
        assert time.monotonic() < end, first.log
        time.sleep(0.1)
    with first.connect() as line:
        assert line.ask("@3 whoami").code == 200
    home = nodes.with_name("home")
    home.mkdir()
    done = run(home, "--state-dir", str(home / "state"), *options(nodes, "127.0.0.2", ports[1]))
    assert done.returncode == 1
    assert f"has port {ports[0]} in the map and {ports[1]} in [peers] port" in done.stderr


def test_who_is_not_in_the_map_does_not_start(nodes: Path, tmp_path: Path) -> None:
    """One sentence says which address is missing, and where; mistakes of the map come with their lines."""
    home = tmp_path / "home"
    home.mkdir()
    state = ("--state-dir", str(home / "state"), "--telnet", "tcp:127.0.0.1:0")
    done = run(home, *state, *options(nodes, "127.0.0.9", 0))
    assert done.returncode == 1
    assert f"{nodes}: this node, at 127.0.0.9, is not in the map" in done.stderr
    nodes.write_text("2 127.0.0.2 many\n0 127.0.0.3 1\n")
    done = run(home, *state, *options(nodes, "127.0.0.2", 0))
    assert done.returncode == 1
    assert f"{nodes}:1:" in done.stderr
    assert f"{nodes}:2:" in done.stderr
