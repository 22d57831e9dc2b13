"""Three daemons, two of which collect the past of all."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.wallclock import wall_clock
from tests.integration.daemon import Daemon
from tests.integration.postgresql import Postgres, needs_postgresql
from tests.integration.test_history import GOM, OFTEN, rows, until

pytestmark = needs_postgresql


def collecting(server: Postgres, *more: str) -> str:
    """Return the part of gomd.ini that makes a node a collector."""
    settings = "\n".join((f"database = {server.database}", *more))
    return f"[history]\nkind = postgresql\n{settings}\n[collector]\nperiod = 0.5\nprocesses_period = 0.5\n"


@pytest.fixture
def cluster(tmp_path: Path, server: Postgres) -> Iterator[list[Daemon]]:
    """Three nodes; the first two collect."""
    server.clear()
    key = tmp_path / "key"
    subprocess.run([GOM, "key", "new", str(key)], check=True, capture_output=True)
    started: list[Daemon] = []
    try:
        seeds = ""
        for number in (1, 2, 3):
            daemon = Daemon(
                tmp_path / f"n{number}", "--node-id", str(number), "--name", f"n{number}",
                "--key-file", str(key), *(("--seeds", seeds) if seeds else ()),
                ini=collecting(server) if number < 3 else OFTEN,
            ).start()  # fmt: skip
            started.append(daemon)
            if not seeds:
                ports = daemon.wait_for(r"PeerProtocol starting on (\d+)")
                seeds = f"127.0.0.1:{ports[1]}"
        yield started
    finally:
        for daemon in started:
            daemon.end()


def newest(server: Postgres, node: int) -> float:
    """Return the time of the newest sample of a node in the database."""
    try:
        found = server.sql(
            f"SELECT coalesce(extract(epoch FROM max(time)), 0) FROM gomd.samples WHERE node = {node}"
        )
    except AssertionError:
        return 0.0  # there are no tables yet, or no server
    return float(found[0][0])


def test_two_collectors_and_a_server_that_is_away(cluster: list[Daemon], server: Postgres) -> None:
    """
    Every node's past is there once. A stop in mid-write costs delay only, and nothing comes twice. Nobody but
    daemons may collect.

    Of a dead node the collector answers with all values, down to a second, and with all processes.
    """
    first, _second, third = cluster
    with first.connect_unix() as line:  # not root on the unix socket, and not through another node
        assert line.ask("collect -").code == 403
        assert line.ask("@3 collect -").code == 405
    until(lambda: all(newest(server, node) for node in (1, 2, 3)))
    server.stop("immediate")
    stopped = wall_clock()
    assert rows(first, "history", "1", "load", "--since", "1m")
    assert rows(first, "history", "3", "load", "--since", "1m")
    first.wait_for("the history is not collected now: the database cannot be used now")
    server.start()
    until(lambda: all(newest(server, node) > stopped for node in (1, 2, 3)))
    [[twice]] = server.sql(
        "SELECT count(*) FROM (SELECT 1 FROM gomd.scanned GROUP BY time, node, process HAVING count(*) > 1) t"
    )
    assert twice == "0"
    gaps = server.sql(
        "SELECT max(gap) FROM (SELECT extract(epoch FROM time - lag(time) "
        "OVER (PARTITION BY node ORDER BY time)) AS gap FROM gomd.samples) t"
    )
    assert float(gaps[0][0]) < 10.0, "what was written while the server was away is there too"
    assert server.sql("SELECT DISTINCT collector FROM gomd.cursors WHERE stream = 'own'")
    third.signal(signal.SIGKILL)
    until(lambda: not next(row for row in rows(first, "nodes") if row["id"] == 3)["up"])
    until(lambda: newest(server, 3) > wall_clock() - 60)
    values = rows(first, "history", "3", "load,runnable", "--since", "5m", "--points", "300")
    assert {row["field"] for row in values} == {"load", "runnable"}
    found = rows(first, "@3", "ps", "--at", "10s")
    assert len(found) > 20
    assert {row["node"] for row in found} == {3}
