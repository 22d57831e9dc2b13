"""`ps --fields` with what processes hold: who sees it, and what it costs the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gomd.sources.memory import MemorySource
from libgomd.model import Holdings, Role
from libgomd.testing import MemoryDaemon
from tests.unit.protocols.talk import Talk, a_process

ADAS = a_process(7, uid=1000, user="ada", command="./simulate")
BOBS = a_process(8, uid=1001, user="bob", command="./other")


class Held(MemorySource):
    """A node that counts what is read."""

    def __init__(self) -> None:
        super().__init__([57], [[ADAS, BOBS]], name="alpha")
        self.asked: list[tuple[int, int]] = []

    def holdings(self, processes: Sequence[tuple[int, int]]) -> Sequence[Holdings]:
        """See `INodeSource.holdings`."""
        self.asked += processes
        return [Holdings(pid * 4096, pid, "/a", "docker:0123456789ab", None) for pid, _ in processes]


def rows(source: Held, request: str, *who: Any) -> list[dict[str, Any]]:
    """Return the rows of an answer in JSON."""
    talk = Talk(MemoryDaemon(source), *who)
    talk.say("format json")
    return [json.loads(line) for line in talk.say(request).splitlines()[1:-1]]


def test_they_are_read_only_when_somebody_asks() -> None:
    """Of the processes that are shown, and of no others."""
    source = Held()
    assert set(rows(source, "ps")[0]).isdisjoint(Holdings.JSON)
    rows(source, "ps --fields pid,rss --top 1")
    assert source.asked == []
    [row] = rows(source, "ps --fields pid,swap,descriptors,cgroup,container,gpu_memory --match simulate")
    assert row == {
        "pid": 7, "swap": 28672, "descriptors": 7, "cgroup": "/a", "container": "docker:0123456789ab",
        "gpu_memory": None,
    }  # fmt: skip
    assert source.asked == [(7, 1000)]


def test_descriptors_are_for_the_owner() -> None:
    """And for admins; the rest everybody reads in /proc, too."""
    found = rows(Held(), "ps --fields pid,swap,descriptors", Role.USER, "ada", 1000)
    assert [tuple(row.values()) for row in found] == [
        (7, 28672, 7),
        (8, 32768, None),
    ]
    found = rows(Held(), "ps --fields descriptors", Role.READ, "", None)
    assert [row["descriptors"] for row in found] == [None, None]


def test_as_text() -> None:
    """With their names as headings, and a dash for what is not known."""
    said = Talk(MemoryDaemon(Held())).say("ps 8 --fields pid,container,gpu_memory").splitlines()
    assert said[1].split() == ["PID", "CONTAINER", "GPU_MEMORY"]
    assert said[2].split() == ["8", "docker:0123456789ab", "-"]
