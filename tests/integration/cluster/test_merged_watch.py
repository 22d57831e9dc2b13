"""`watch @all` on eight hosts, of which some stop, hang and come back while somebody looks on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

from tests.integration.cluster.asking import EVERYBODY, ask, eventually, see, up
from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host, Network
from tests.integration.line import Line

Rows = dict[int, list[dict[str, Any]]]


def _watch(host: Host, words: str) -> Line:
    line = host.daemon.connect_unix()
    line.ask("format json")
    line.send(words.encode() + b"\r\n")
    status = line.line()
    assert status.startswith("201 watching"), status
    return line


def _round(line: Line) -> Rows:
    """Return the rows of the next round, by node."""
    rows: list[dict[str, Any]] = []
    while not rows or len(rows) < rows[0]["rows"]:
        rows.append(json.loads(line.line()))
    assert len({row["round"] for row in rows}) == 1, rows
    return {node: [row for row in rows if row["from"] == node] for node in {row["from"] for row in rows}}


def _until(line: Line, check: Callable[[Rows], bool]) -> Rows:
    """Return the first round that passes."""
    end = time.monotonic() + 2 * PATIENCE
    while not check(found := _round(line)):
        assert time.monotonic() < end, found
    return found


def test_a_node_that_hangs_dies_and_returns(cluster: Network) -> None:
    """Its last rows stay, older and older; a daemon that says goodbye has left, and appears again."""
    first, fourth, fifth = cluster.hosts[0], cluster.hosts[3], cluster.hosts[4]
    with _watch(first, "watch -n 0.5 @all ps --top 2 --fields pid,command") as line:
        found = _until(line, lambda rows: set(rows) == EVERYBODY)
        assert all(len(rows) <= 2 and rows[0]["rows_age"] == 0 for rows in found.values())
        assert {"pid", "command", "matched", "from", "round", "rows", "rows_age"} == set(found[5][0])
        fifth.daemon.signal(signal.SIGSTOP)
        try:
            old = _until(line, lambda rows: rows[5][0]["rows_age"] > 3)
            assert old[4][0]["rows_age"] == 0
        finally:
            fifth.daemon.process.send_signal(signal.SIGCONT)  # nsenter stops with its child
            fifth.daemon.signal(signal.SIGCONT)
        _until(line, lambda rows: rows[5][0]["rows_age"] == 0)
        fourth.daemon.signal(signal.SIGTERM)
        fourth.daemon.wait()
        gone = _until(line, lambda rows: "left" in rows.get(4, [{"left": True}])[0])
        assert [row["left"] for row in gone[4]] == [True]
        assert 4 not in _round(line)
        fourth.start()
        _until(line, lambda rows: 4 in rows and rows[4][0].get("rows_age") == 0)
    see([first], EVERYBODY)


def test_viewers_share_one_subscription_a_node(cluster: Network) -> None:
    """Twenty equal ones are one connection to each node; `@NODE` is merged likewise; text has a prefix."""
    first, second = cluster.hosts[0], cluster.hosts[1]

    def streams() -> int:
        rows = ask(second, "stats", as_json=True).rows
        return int(next(row["value"] for row in rows if row["name"] == "handshakes_done"))

    viewers = [_watch(first, "@all watch -n 0.5 load")]
    try:
        _until(viewers[0], lambda rows: set(rows) == EVERYBODY)
        before = streams()
        viewers += [_watch(first, "watch -n 0.5 @all load") for _ in range(19)]
        for viewer in viewers:
            assert set(_round(viewer)) == EVERYBODY
        assert streams() == before
    finally:
        for viewer in viewers:
            viewer.close()
    with _watch(first, "watch -c 2 @h2 load") as line:
        for number in (1, 2):
            [[row]] = _round(line).values()
            assert (row["from"], row["round"], row["rows"]) == (2, number, 1)
        assert line.line() == "."
    said = ask(first, "watch -n 0.5 -c 2 @all load")
    assert said.block is not None
    for text in "\n".join(said.block).split("\n\n"):
        assert {int(row.partition(": ")[0]) for row in text.split("\n")} == EVERYBODY, said
    assert eventually(lambda: up(first) == EVERYBODY)
