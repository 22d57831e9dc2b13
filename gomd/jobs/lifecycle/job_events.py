"""Publishes what happens to the jobs of this node as events of the cluster."""

from __future__ import annotations

from dataclasses import replace

from gomd.interfaces import IEvents, IMembership, MoveCost
from libgomd.errors import NotFound
from libgomd.model import Event, EventKind, Job, JobState
from libgomd.wallclock import Wall


class JobEvents:
    """:param wall: gives the time of stamps."""

    def __init__(self, members: IMembership, events: IEvents, wall: Wall) -> None:
        self._members = members
        self._events = events
        self._wall = wall

    def started(self, job: Job) -> None:
        """A job of this home has begun."""
        self.publish(EventKind.STARTED, job.node, f"job {job.job} of {job.user}: {job.command}", job.uid)

    def ended(self, job: Job) -> None:
        """A job of this home is over: it has ended, or it is lost."""
        lost = " is lost" if job.state is JobState.LOST else ""
        why = f": {job.reason}" if job.reason else ""
        text = f"job {job.job} of {job.user}{lost}, exit {job.exit}{why}"
        self.publish(EventKind.ENDED, job.node, text, job.uid)

    def publish(
        self, kind: EventKind, node_id: int, text: str, uid: int | None, cost: MoveCost | None = None
    ) -> None:
        """Publish what happened to a job of user ``uid`` on a node as an event. :param cost: of a move."""
        try:
            name = self._members.find(str(node_id)).name
        except NotFound:
            name = ""
        event = Event(self._wall(), kind, node_id, name, text, self._members.own_id, uid)
        if cost is not None:
            event = replace(
                event,
                seconds=cost.seconds,
                stopped_seconds=cost.stopped_seconds,
                bytes=cost.bytes,
                precopied=cost.precopied,
            )
        self._events.publish(event)
