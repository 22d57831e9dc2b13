"""Some daemons of one cluster on loopback addresses, and Serf agents beside them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gom import key
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon

SERF = "/usr/bin/serf"
HOST = "127.0.78.{}"


def needed() -> None:
    """Skip a test where there is no Serf."""
    pytest.importorskip("msgpack", reason="engine serf is an extra")
    if not os.path.exists(SERF):
        pytest.skip("serf is not installed (Debian package serf)")


def free_ports() -> int:
    """Return a port that is free at the addresses used here, as are those that engines open above it."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST.format(2), 0))
            port: int = probe.getsockname()[1]
        if port <= 65531:
            return port


class SerfRoom:
    """Daemons by node id. :ivar daemons: those that were started."""

    def __init__(self, start: StartDaemon, path: Path) -> None:
        self._start = start
        self.path = path
        self.port = free_ports()
        self.key = path / "key"
        key.new(str(self.key))
        self.daemons: dict[int, Daemon] = {}
        self.agents: list[OwnAgent] = []

    def ini(self, engine: str, more: str = "") -> str:
        """The settings that all have."""
        seeds = ", ".join(f"{HOST.format(number)}:{self.port}" for number in (2, 3))
        return f"engine = {engine}\nkey_file = {self.key}\nseeds = {seeds}\n{more}"

    def add(self, number: int, engine: str = "serf", more: str = "") -> Daemon:
        """Start the daemon of a node, or start it again."""
        old = self.daemons.get(number)
        self.daemons[number] = self._start(
            "--node-id", str(number), "--name", f"n{number}",
            "--peers", f"{HOST.format(number)}:{self.port}", ini=self.ini(engine, more),
            home=old.home if old is not None else None,
        )  # fmt: skip
        return self.daemons[number]

    def agent(self, number: int, *, auth: str = "", encrypt: str = "") -> OwnAgent:
        """Start an administrator's agent of a node."""
        self.agents.append(OwnAgent(self.path / f"agent{len(self.agents)}", number, auth, encrypt))
        return self.agents[-1]

    def close(self) -> None:
        """End the agents."""
        for agent in self.agents:
            agent.close()


class OwnAgent:
    """An administrator's Serf agent. :ivar rpc: its port. :ivar gossip: where others join it."""

    def __init__(self, home: Path, number: int, auth: str, encrypt: str) -> None:
        home.mkdir()
        port, self.rpc = free_ports(), free_ports()
        self.gossip = f"{HOST.format(number)}:{port}"
        settings = {
            "node_name": f"{home.name}-of-{number}", "bind": self.gossip,
            "rpc_addr": f"127.0.0.1:{self.rpc}", "rpc_auth": auth, "tags": {"role": "web"},
        }  # fmt: skip
        if encrypt:
            settings["encrypt_key"] = encrypt
        self._config = home / "agent.json"
        self._config.write_text(json.dumps(settings))
        self._config.chmod(0o600)
        self._auth = auth
        self.start()

    def start(self) -> None:
        """Start it, and wait until its RPC answers."""
        self.process = subprocess.Popen(
            [SERF, "agent", f"-config-file={self._config}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        eventually(lambda: self.ask("members").returncode == 0)

    def ask(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `serf VERB` on it."""
        reach = (f"-rpc-addr=127.0.0.1:{self.rpc}", f"-rpc-auth={self._auth}")
        return subprocess.run(
            [SERF, verb, *reach, *words], capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def join(self, other: OwnAgent) -> None:
        """Join the cluster of another one."""
        assert self.ask("join", other.gossip).returncode == 0

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)


def rows(daemon: Daemon, verb: str) -> list[dict[str, Any]]:
    """Return what a verb answers in JSON."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        return line.ask(verb).rows


def up(daemon: Daemon) -> set[int]:
    """The nodes that are up, as this one sees them."""
    return {row["id"] for row in rows(daemon, "nodes") if row["up"]}


def told(daemon: Daemon, node: int) -> list[tuple[str, str]]:
    """The events about a node: kind and reason."""
    return [(row["kind"], row["reason"]) for row in rows(daemon, "events") if row["node"] == node]


def serf_of(daemon: Daemon) -> int:
    """Return the process id of the agent that a daemon runs; 0 if there is none."""
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
    for child in children:
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [SERF.encode(), b"agent"]:
            return int(child)
    return 0


def eventually(what: Callable[[], bool], limit: float = PATIENCE) -> float:
    """Wait until something is so; return how many seconds that took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < limit, "it never came so"
        time.sleep(0.05)
    return time.monotonic() - began


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to an agent."""
    assert pid > 0
    os.kill(pid, number)
