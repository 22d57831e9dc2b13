"""Running jobs in a test: the `gom` command on a daemon, and two daemons of one cluster on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from libgomd.keys import new_key_file
from tests.integration.daemon import PATIENCE, Daemon

MEGABYTE = 1 << 20
#: The variable that says where gomrun is; without it `gom run` is the Python program whatever is installed.
PLACE = "GOMRUN_PLACE_OF_A_TEST"
_PLACES = f"import os, sys, gom.compiled; gom.compiled.PLACES = os.environ.get({PLACE!r}, '').split(); "
GOM = (sys.executable, "-c", f"{_PLACES}from gom.command import run; sys.exit(run())")
#: The same as user nobody, who may not execute every python there is: it becomes nobody when it runs.
_NOBODY = (
    f"{_PLACES}"
    "import json, os, pwd, resource, sys, termios, time, tty, gom.relay, gom.run; "
    "from gom.command import run; os.setgroups([65534]); "
    "os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534); sys.exit(run())"
)
NOBODY = (sys.executable, "-c", _NOBODY)


def gom(
    daemon: Daemon,
    *words: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = GOM,
    **more: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Run `gom` until it ends."""
    return subprocess.run(
        [*program, "-c", daemon.unix, *words], input=stdin, capture_output=True, timeout=PATIENCE * 2,
        env={**os.environ, **(env or {})}, check=False, **more,
    )  # fmt: skip


def begin(daemon: Daemon, *words: str, **more: Any) -> subprocess.Popen[bytes]:
    """Start `gom`, its streams ours."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([*GOM, "-c", daemon.unix, *words], **{**pipes, **more})


def jobs(daemon: Daemon) -> list[dict[str, Any]]:
    """Return the rows of `jobs`."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        return line.ask("jobs").rows


def job(daemon: Daemon, number: int) -> dict[str, Any]:
    """Return the row of one job."""
    [found] = [row for row in jobs(daemon) if row["job"] == number]
    return found


def until(what: Callable[[], Any], limit: float = PATIENCE) -> Any:
    """Return what ``what`` gives once that is true."""
    end = time.monotonic() + limit
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return found


def running(daemon: Daemon) -> dict[str, Any]:
    """Return the newest job, once it runs."""
    found: list[dict[str, Any]] = until(
        lambda: [row for row in jobs(daemon) if row["state"] == "running"]
    )  # fmt: skip
    return found[-1]


def free_port() -> int:
    """Return a port that nobody uses, for streams and datagrams."""
    with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        stream.bind(("127.0.0.1", 0))
        port = stream.getsockname()[1]
        datagram.bind(("127.0.0.1", port))
        return int(port)


class Pair:
    """Two nodes, 1 and 2, that know each other: with a key of their own unless one is named."""

    def __init__(self, home: Path, *options: str) -> None:
        home.mkdir(exist_ok=True)
        if "--key-file" not in options:
            new_key_file(str(home / "key"))
            options = ("--key-file", str(home / "key"), *options)
        ports = free_port(), free_port()
        seeds = f"127.0.0.1:{ports[0]}, 127.0.0.1:{ports[1]}"
        self.nodes = tuple(
            Daemon(
                home / f"node{number}", "--node-id", str(number), "--name", f"node{number}",
                "--set", f"peers.port={port}", "--set", f"peers.seeds={seeds}", *options,
            )
            for number, port in enumerate(ports, 1)
        )  # fmt: skip

    def __enter__(self) -> tuple[Daemon, Daemon]:
        first, second = self.nodes
        first.start()
        second.start()
        for node in self.nodes:
            until(lambda node=node: _up(node) == [True, True])  # type: ignore[misc]
        return first, second

    def __exit__(self, *_error: object) -> None:
        for node in self.nodes:
            node.end()


def _up(daemon: Daemon) -> list[bool]:
    with daemon.connect_unix() as line:
        line.ask("format json")
        return [row["up"] for row in line.ask("nodes").rows]
