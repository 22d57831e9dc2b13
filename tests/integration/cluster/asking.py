"""What tests of a whole cluster ask its daemons, and how they wait for what they should see."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests.integration import hosts
from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host, Network
from tests.integration.line import Reply

T = TypeVar("T")
EVERYBODY = frozenset(range(1, hosts.MOST + 1))


def eventually(check: Callable[[], T]) -> T:
    """Return what ``check`` gives as soon as that is true; fail when it never is."""
    end = time.monotonic() + PATIENCE
    while not (found := check()):
        assert time.monotonic() < end, f"still {found!r} after {PATIENCE:g} s"
        time.sleep(0.05)
    return found


def ask(host: Host, request: str, as_json: bool = False) -> Reply:
    """Ask the daemon of a host, as root there."""
    with host.daemon.connect_unix() as line:
        if as_json:
            line.ask("format json")
        return line.ask(request)


def up(host: Host) -> frozenset[int]:
    """Return the nodes that are up, as a host sees it."""
    return frozenset(row["id"] for row in ask(host, "nodes", as_json=True).rows if row["up"])


def events(host: Host, node: int, kind: str = "") -> list[dict[str, Any]]:
    """Return what a host has to tell of a node."""
    rows = ask(host, "events", as_json=True).rows
    return [row for row in rows if row["node"] == node and kind in ("", row["kind"])]


def counters(host: Host) -> dict[str, Any]:
    """Return the counters of a host, and under ``meaning NAME`` what they say they are."""
    rows = ask(host, "stats", as_json=True).rows
    return {row["name"]: row["value"] for row in rows} | {
        f"meaning {row['name']}": row["meaning"] for row in rows
    }


def start(some: Sequence[Host]) -> None:
    """Start the daemons of some hosts, all at once."""
    with ThreadPoolExecutor(len(some)) as pool:
        list(pool.map(Host.start, some))


def see(some: Sequence[Host], nodes: frozenset[int]) -> None:
    """Wait until all these hosts see these nodes up and no others."""
    for host in some:
        eventually(lambda host=host: up(host) == nodes)  # type: ignore[misc]


def without(network: Network, *gone: Host) -> list[Host]:
    """Return the other hosts."""
    return [host for host in network.hosts if host not in gone]


def sleeper(host: Host, user: str = "root") -> tuple[subprocess.Popen[str], int]:
    """Start a process on a host; return it and the pid it has there."""
    process = host.popen("setpriv", f"--reuid={user}", "--clear-groups", "--", "sleep", "300")
    inside = Path(f"/proc/{eventually(lambda: hosts.children_of(process.pid))[0]}")
    eventually(lambda: (inside / "comm").read_text() == "sleep\n")
    [pids] = [line for line in (inside / "status").read_text().splitlines() if line.startswith("NSpid:")]
    return process, int(pids.split()[-1])
