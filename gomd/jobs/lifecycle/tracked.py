"""A job whose streams pass through this daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from gomd.jobs.home.output_writer import OutputWriter
from gomd.jobs.lifecycle.control import SupervisorControl
from gomd.jobs.lifecycle.relay import StreamRelay


@dataclass(eq=False)
class TrackedJob:
    """
    A job and its streams.

    :ivar name: ``HOME-JOB``. :ivar number: of a job of this home, None for a guest. :ivar uid: whose it is.
    :ivar node: id of the node it runs on.
    :ivar told: what its supervisor says of it, once it runs.
    :ivar began: whether it has run. :ivar over: how it ended, None while it runs.
    :ivar hung_up: its caller is gone, and it with him.
    :ivar sink: where its output goes when it is detached and runs on another node.
    :ivar beginning: fires with None when it has begun, fails when it cannot.
    :ivar orders: what its supervisor is told about moving, when that is on this node.
    :ivar departing: called when its supervisor is gone while it is being moved: it is not lost for that.
    :ivar stays: why it cannot be moved, as it was last looked at; empty when it can.
    :ivar orphan: its home knows it no more: it is being ended.
    :ivar arriving: a copy of it is stopped here and may be let run: it is not lost for its node's silence.
    :ivar sought: its supervisor here cannot be asked at the moment, and is looked for again.
    :ivar rejoining: it is being looked for on another node.
    """

    name: str
    number: int | None
    uid: int
    node: int
    relay: StreamRelay = field(default_factory=StreamRelay)
    told: dict[str, Any] = field(default_factory=dict)
    began: bool = False
    over: dict[str, Any] | None = None
    hung_up: bool = False
    sink: OutputWriter | None = None
    beginning: Deferred[None] = field(default_factory=Deferred)
    orders: SupervisorControl | None = None
    departing: Callable[[], None] | None = None
    stays: str = ""
    orphan: bool = False
    arriving: bool = False
    rejoining: bool = False
    sought: bool = False

    @property
    def taken(self) -> bool:
        """Whether a caller is attached."""
        return self.relay.client is not None and self.sink is None
