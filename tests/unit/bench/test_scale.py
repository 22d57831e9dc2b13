"""What `make bench ONLY=scale` makes of its measurements, and the cluster in memory that it measures."""

from __future__ import annotations

from bench.big_cluster import engine_of, heard
from bench.repeating import Waits
from bench.scale import Point, rows_of


def point(size: int, answer: float, honest: float = 1.0) -> Point:
    """One question at one size."""
    return Point(size, {"ps": Waits(answer, honest, 0.5)}, size * 1000)


def test_the_cost_may_grow_with_the_size_but_not_much_faster() -> None:
    """The last size is compared with the one before; the smaller ones are told without a verdict."""
    found = {
        row["name"]: row for row in rows_of("jobs", [point(10, 1.0), point(100, 2.0), point(1000, 29.0)])
    }
    assert found["`ps`, 10 jobs"]["ok"] is None
    assert found["`ps`, 100 jobs"]["value"] == 2.0
    last = found["`ps`, 1,000 jobs"]
    assert (last["ratio"], last["goal"], last["ok"]) == (14.5, 15.0, True)
    *_, worse = rows_of("jobs", [point(10, 1.0), point(100, 2.0), point(1000, 31.0)])[:3]
    assert worse["ok"] is False


def test_what_others_wait_is_counted_above_an_echo() -> None:
    """The machine's own delays are not the daemon's."""
    rows = rows_of("jobs", [point(10, 1.0), point(100, 2.0), point(1000, 3.0, honest=10.6)])
    [meanwhile] = [row for row in rows if "meanwhile" in row["name"]]
    assert (round(meanwhile["value"], 3), meanwhile["ok"]) == (10.1, False)


def test_an_engine_that_hears_the_same_knows_the_same() -> None:
    """All nodes of the simulated cluster are up for it."""
    nodes = engine_of(heard(12)).nodes()
    assert [node.id for node in nodes] == list(range(1, 13))
    assert all(node.up for node in nodes)
