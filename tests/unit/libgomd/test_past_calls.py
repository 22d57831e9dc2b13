"""The calls about the past and the measures: what is asked, and what comes back."""

from __future__ import annotations

from libgomd import calls
from libgomd.model import HistoryRow, Measure
from libgomd.wire.lines import Request


def test_moments_are_numbers_or_words() -> None:
    """Seconds as seconds, text as it is; nothing is sent that was not said."""
    assert calls.history(3, "load", "mem", since=1.5, until="15m", points=7).request == Request(
        "history", ("3", "load,mem", "--since=1.500", "--until=15m", "--points=7")
    )
    assert calls.history("beta", "load", node=2).request == Request("history", ("beta", "load"), "2")
    assert calls.nodes(at="1h").request == Request("nodes", ("--at=1h",))
    assert calls.nodes().request == Request("nodes")
    assert calls.ps(5, top=3, at=2.0, of="gamma").request == Request(
        "ps", ("5", "--top=3", "--at=2.000", "--of=gamma")
    )
    assert calls.events(since="3d", until=9.0).request == Request("events", ("--since=3d", "--until=9.000"))
    assert calls.events().request == Request("events")


def test_rows_become_values() -> None:
    """With their units and labels."""
    row = {"time": 1.0, "field": "load", "min": 1, "mean": 1.5, "max": 2, "node": 3, "by": 1, "more": 9}
    assert calls.history(3, "load").decode([row]) == [HistoryRow(1.0, "load", 1, 1.5, 2, 3, 1)]
    measure = {"name": "forks", "labels": {"a": "b"}, "value": 3.0, "kind": "counter", "text": "started"}
    forks = Measure("forks", 3.0, {"a": "b"}, "counter", "started")
    assert calls.measures("forks").decode([measure]) == [forks]
    assert calls.busiest(node="beta").request == Request("busiest", (), "beta")
