"""`@all` and `watch @all` on seven daemons that ask two nodes each, of which one is killed in mid-watch."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.cluster_of import cluster_of
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import gom, until
from tests.integration.line import Line

EVERYBODY = [1, 2, 3, 4, 5, 6, 7]
#: Without it a daemon asks nobody on its own: a history also asks two other nodes for what they remember.
QUIET = ("--set", "history.kind=none")


@pytest.fixture
def seven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Daemon]]:
    """Nodes node1 to node7, each with `[peers] fan_out = 2`."""
    with cluster_of(tmp_path_factory.mktemp("seven"), 7, "--set", "peers.fan_out=2", *QUIET) as daemons:
        for daemon in daemons:
            daemon.configure("[commands]\nkernel = uname -s\n")
            daemon.signal(signal.SIGHUP)
        for daemon in daemons:
            until(lambda daemon=daemon: gom(daemon, "do", "kernel").returncode == 0)  # type: ignore[misc]
        yield daemons


def _streams(daemon: Daemon) -> int:
    """Return how many requests the daemon has sent to others over streams."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        return int(next(row["value"] for row in line.ask("stats").rows if row["name"] == "streams_asked"))


def _all(daemon: Daemon, words: str) -> list[dict[str, Any]]:
    with daemon.connect_unix() as line:
        line.ask("format json")
        return line.ask(f"@all {words}").rows


def _cost(daemon: Daemon) -> int:
    """Return how many streams one `@all load` takes."""
    before = _streams(daemon)
    _all(daemon, "load")
    return _streams(daemon) - before


def _round(line: Line) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while not rows or len(rows) < rows[0]["rows"]:
        rows.append(json.loads(line.line()))
    return rows


def test_a_relay_is_killed_in_mid_watch(seven: list[Daemon]) -> None:
    """Two streams reach six nodes; every round has every node once, and only the dead one grows old."""
    first = seven[0]
    with first.connect_unix() as line:
        line.ask("format json")
        found = sorted(
            line.ask("@1-7 do kernel").rows, key=lambda row: (row["from"], row["exit"] is not None)
        )
    assert [(row["from"], row["line"], row["exit"]) for row in found] == [
        (node, *each) for node in EVERYBODY for each in (("Linux", None), (None, 0))
    ]
    third = seven[2]  # it relays; what it does not take from admins of others is its own affair
    third.configure("admin_from_peers = no\n")
    third.signal(signal.SIGHUP)
    until(lambda: [row["from"] for row in _all(first, "jobs")] == [3])
    [refused] = _all(first, "jobs")
    assert (refused["code"], "admin_from_peers" in refused["error"]) == (403, True)
    for words in ("load", "nodes", "version"):
        assert {row["from"] for row in _all(first, words)} == set(EVERYBODY), words
    assert [row["from"] for row in _all(first, "load")] == EVERYBODY
    until(lambda: _cost(first) == 2)  # a relay that was too slow for a busy machine is replaced
    before = _streams(first)
    with first.connect_unix() as line:
        line.ask("format json")
        line.send(b"watch -n 0.5 @all load\r\n")
        assert line.line().startswith("201 watching")
        end = time.monotonic() + 2 * PATIENCE
        while {row.get("rows_age") for row in _round(line)} != {0}:
            assert time.monotonic() < end
        assert _streams(first) - before < 6
        relay = next(number for number in (2, 3, 4) if _streams(seven[number - 1]))
        seven[relay - 1].kill()
        while True:
            rows = _round(line)
            assert [row["from"] for row in rows] == EVERYBODY, rows
            ages = {row["from"]: row["rows_age"] for row in rows}
            if ages.pop(relay) > 2 and set(ages.values()) == {0}:
                break
            assert time.monotonic() < end, rows
    now = {row["from"]: row for row in _all(first, "load")}
    assert set(now) - {relay} == set(EVERYBODY) - {relay}
    assert all("value" in row for number, row in now.items() if number != relay)
