"""Which past events are kept: those of jobs do not push out those of nodes."""

from __future__ import annotations

from gomd.cluster.events import Events
from libgomd.model import Event, EventKind


def event(kind: EventKind, time: int) -> Event:
    """Something that happened then."""
    return Event(float(time), kind, 1, "alpha", "it happened", 1)


def test_many_jobs_leave_the_events_of_nodes() -> None:
    """A user starts and ends ten times as many jobs as are kept."""
    events = Events(keep=10)
    events.publish(event(EventKind.DOWN, 1))
    for time in range(2, 102):
        events.publish(event(EventKind.STARTED if time % 2 else EventKind.ENDED, time))
    events.publish(event(EventKind.UP, 102))
    found = events.recent()
    assert [each.time for each in found] == [1, *range(92, 102), 102]
    assert found[0].kind is EventKind.DOWN


def test_they_are_in_the_order_they_came() -> None:
    """Whatever their stamps say: a clock may have been set back."""
    events = Events(keep=10)
    for kind, time in ((EventKind.STARTED, 5), (EventKind.DOWN, 9), (EventKind.ENDED, 2), (EventKind.UP, 1)):
        events.publish(event(kind, time))
    assert [each.time for each in events.recent()] == [5, 9, 2, 1]
