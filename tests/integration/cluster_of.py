"""Several real daemons on loopback that know each other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from libgomd.keys import new_key_file
from tests.integration.daemon import Daemon
from tests.integration.jobs import free_port, until


@contextmanager
def cluster_of(home: Path, count: int, *options: str) -> Iterator[list[Daemon]]:
    """Run nodes 1 to ``count``, called node1 and so on, from when all know each other."""
    home.mkdir(exist_ok=True)
    key = home / "key"
    new_key_file(str(key))
    ports = [free_port() for _ in range(count)]
    seeds = ", ".join(f"127.0.0.1:{port}" for port in ports)
    with ExitStack() as stack:
        daemons = []
        for number, port in enumerate(ports, 1):
            daemon = Daemon(
                home / f"node{number}", "--node-id", str(number), "--name", f"node{number}",
                "--key-file", str(key),
                "--set", f"peers.port={port}", "--set", f"peers.seeds={seeds}", *options,
            )  # fmt: skip
            stack.callback(daemon.end)
            daemons.append(daemon)
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(Daemon.start, daemons))
        for daemon in daemons:
            until(lambda daemon=daemon: nodes_up(daemon) == count)  # type: ignore[misc]
        yield daemons


def nodes_up(daemon: Daemon) -> int:
    """Return how many nodes the daemon holds to be up."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        return sum(row["up"] for row in line.ask("nodes").rows)
