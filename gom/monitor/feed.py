"""
The newest state of the cluster, as one value that does not change: `ClusterState`.

A `ClusterFeed` keeps four subscriptions to one daemon: the nodes, the events, the processes that a screen
shows, and how many jobs run. Each reconnects by itself. What was known stays, with its age, until there is
something newer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Final, NamedTuple

from gom.monitor.rows import EventRow, NodeRow, event_of, node_of, parse
from gom.monitor.subscription import DaemonEndpoints, Round, Subscription, answers, rounds_of
from gom.monitor.table import MergedTable, NodeRows, fields, read_round
from libgomd.errors import MalformedReply
from libgomd.linesocket import LineSocket
from libgomd.wire.lines import Request

#: Events that are kept.
MAX_EVENTS: Final = 200
#: Seconds between two counts of the jobs.
JOBS_PERIOD: Final = 5.0
#: Nodes for which a round may come each second; more come less often.
NODES_PER_SECOND: Final = 250
#: The counter of the jobs of a home that are under way.
JOBS_COUNTER: Final = "jobs_running"
#: Rows of all nodes for which a round may come each second; more come less often.
ROWS_PER_SECOND: Final = 20_000
ALL: Final = "@all"
MAX_TEXT: Final = 256


class ProcessQuery(NamedTuple):
    """
    Which processes are asked for; each node selects its own.

    :ivar top: so many of each node at most. :ivar sort: a key of `table.KEY_FIELDS`. :ivar match: part of the
        name or command line; empty for all. :ivar user: a user's name or number; empty for all.
    :ivar jobs: only processes of jobs. :ivar node: one node's id; 0 for all nodes.
    :ivar most: so many of all nodes at most, chosen by the asked daemon; 0 for all of them.
    :ivar pinned: processes that are wanted whether they are among these or not, each as ``IDENTITY@NODE``.
    """

    top: int = 20
    sort: str = "cpu"
    match: str = ""
    user: str = ""
    jobs: bool = False
    node: int = 0
    most: int = 0
    pinned: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """Return the request behind ``watch``: which rows of the nodes, the nodes, `ps` and its options."""
        options = [f"--top={self.top}", f"--sort={self.sort}", f"--fields={','.join(fields(self.sort))}"]
        options += [f"--user={self.user[:MAX_TEXT]}"] if self.user else []
        options += [f"--match={self.match[:MAX_TEXT]}"] if self.match else []
        options += ["--jobs"] if self.jobs else []
        first = [f"--most={self.most}"] if self.most else []
        first += [f"--with={','.join(self.pinned)}"] if self.most and self.pinned else []
        return (*first, f"@{self.node}" if self.node else ALL, "ps", *options)

    def is_like(self, other: ProcessQuery) -> bool:
        """Return whether the nodes are asked the same for ``other``."""
        return self._replace(most=0, pinned=()) == other._replace(most=0, pinned=())


class ClusterState(NamedTuple):
    """
    What is known at one moment.

    :ivar at: that moment, in seconds of the monotonic clock.
    :ivar nodes: ordered by id; ``nodes_at`` when they came, None before that.
    :ivar table: the processes; None before they came. ``wanted`` is what its rows were asked with.
    :ivar events: oldest first. :ivar jobs: how many run; None when no node said it.
    :ivar role: what the caller may do: ``read``, ``user`` or ``admin``; empty before that is known.
    :ivar trouble: why there is nothing newer, one sentence; empty while all is well.
    """

    at: float
    nodes: tuple[NodeRow, ...] = ()
    nodes_at: float | None = None
    table: MergedTable | None = None
    wanted: ProcessQuery | None = None
    events: tuple[EventRow, ...] = ()
    jobs: int | None = None
    role: str = ""
    user: str = ""
    trouble: str = ""


class ClusterFeed:
    """
    Follows a cluster. Its subscriptions run on threads of their own.

    :param period: seconds from round to round. :param wanted: the processes; None for no processes at all.
    :param changed: called, on any thread, when `snapshot` gives something new.
    :param nodes: how many there are, as far as that is known before they have come.
    """

    def __init__(
        self,
        place: DaemonEndpoints,
        period: float,
        wanted: ProcessQuery | None,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        nodes: int = 1,
    ) -> None:
        self._place = place
        self._first_nodes = nodes
        self._has_table = threading.Event()
        self._period = period
        self._wanted = wanted
        self._changed = changed
        self._clock = clock
        self._lock = threading.Lock()
        self._latest = ClusterState(clock())
        self._troubles: dict[Subscription, str] = {}
        self._standing: list[Subscription] = []
        self._following: Subscription | None = None
        self._replaced: list[Subscription] = []

    def start(self) -> None:
        """Begin to follow; returns at once. Does nothing when it has begun already."""
        if self._standing:
            return
        if self._wanted is not None:
            self._following = self._begin(self._processes_of(self._wanted))
        for work in (self._nodes, self._events, self._jobs):
            self._standing.append(self._begin(work))

    def stop(self) -> None:
        """End all subscriptions. Does not wait for them."""
        for each in (*self._standing, *self._replaced, *([self._following] if self._following else [])):
            each.stop()

    def snapshot(self) -> ClusterState:
        """Return what is known now."""
        with self._lock:
            return self._latest._replace(at=self._clock())

    def want(self, wanted: ProcessQuery) -> None:
        """Follow other processes from now on. The rows that are there stay until the first new ones come."""
        if wanted == self._wanted:
            return
        shares = self._wanted is not None and wanted.is_like(self._wanted)
        self._wanted = wanted
        before, self._following = self._following, None
        if before is not None:
            # While it lasts, the daemon goes on watching the nodes, and need not begin anew.
            self._replaced.append(before)
            if not shares:
                self._stop_replaced()
        self._following = self._begin(self._processes_of(wanted))

    def _stop_replaced(self) -> None:
        with self._lock:
            replaced, self._replaced = self._replaced, []
            for each in replaced:
                self._troubles.pop(each, None)
        for each in replaced:
            each.stop()

    def _begin(self, work: Callable[[Subscription], Generator[None, None, None]]) -> Subscription:
        subscription = Subscription(self._place, work, self._said)
        subscription.start()
        return subscription

    def _said(self, subscription: Subscription, sentence: str) -> None:
        with self._lock:
            if sentence and not subscription.stopped:
                self._troubles[subscription] = sentence
            else:
                self._troubles.pop(subscription, None)
            trouble = next(iter(self._troubles.values()), "")
            self._latest = self._latest._replace(trouble=trouble)
        self._changed()

    def _publish(self, **values: object) -> None:
        with self._lock:
            self._latest = self._latest._replace(**values)  # type: ignore[arg-type]
        self._changed()

    # -- the subscriptions

    def _nodes(self, subscription: Subscription) -> Generator[None, None, None]:
        line = self._place.line(Request("nodes"))
        role, user = caller_on(line)
        line.ask(Request("nodes"), line.timeout)
        nodes = tuple(node_of(parse(each)) for each in line.rows(line.timeout))
        self._publish(role=role, user=user, nodes=nodes, nodes_at=self._clock())
        yield
        period = max(self._period, len(nodes) / NODES_PER_SECOND)
        request = Request("watch", ("-n", f"{period:.3g}", "nodes"))
        for lines in rounds_of(subscription.open(line, request).chunks()):
            nodes = tuple(node_of(parse(each)) for each in lines)
            self._publish(nodes=nodes, nodes_at=self._clock())
            yield

    def _events(self, subscription: Subscription) -> Generator[None, None, None]:
        request = Request("watch", ("events",))
        line = self._place.line(request)
        kept = deque(events_on(line), MAX_EVENTS)
        self._publish(events=tuple(kept))
        yield
        for lines in subscription.open(line, request).chunks():
            kept += [event_of(parse(each)) for each in lines]
            self._publish(events=tuple(kept))
            yield

    def _jobs(self, subscription: Subscription) -> Generator[None, None, None]:
        if self._wanted is not None:  # what is looked at first comes first
            self._has_table.wait(JOBS_PERIOD)
        request = Request("watch", ("-n", f"{JOBS_PERIOD:g}", ALL, "stats", JOBS_COUNTER))
        for lines in rounds_of(subscription.open(self._place.line(request), request).chunks()):
            self._publish(jobs=jobs_in(lines))
            yield

    def _processes_of(self, wanted: ProcessQuery) -> Callable[[Subscription], Generator[None, None, None]]:
        def work(subscription: Subscription) -> Generator[None, None, None]:
            count = sum(node.up for node in self._latest.nodes) or self._first_nodes
            count = 1 if wanted.node else count
            period = max(self._period, wanted.top * count / ROWS_PER_SECOND)
            request = Request("watch", ("-n", f"{period:.3g}", *wanted.words()))
            before = kept(self._latest, wanted)
            for lines in rounds_of(subscription.open(self._place.line(request), request).chunks()):
                if subscription.stopped:
                    return
                now = self._clock()
                if wanted == self._wanted:
                    before = read_round(lines, wanted.sort, now, before)
                    self._publish(table=MergedTable(wanted.sort, before, now), wanted=wanted)
                    self._has_table.set()
                    self._stop_replaced()
                yield

        return work


def kept(latest: ClusterState, wanted: ProcessQuery) -> dict[int, NodeRows]:
    """
    Return the rows of each node that are still good when the processes are asked for with ``wanted``.

    They are what a silent node shows: after the daemon was started anew, and when a person asks for more rows
    or for one node.
    """
    if latest.table is None or latest.wanted is None:
        return {}
    if not latest.wanted._replace(top=0, node=0).is_like(wanted._replace(top=0, node=0)):
        return {}
    return {node: rows for node, rows in latest.table.nodes.items() if wanted.node in (0, node)}


def caller_on(line: LineSocket) -> tuple[str, str]:
    """Return the role and the name of the caller on a connection in JSON. Blocks."""
    found = parse(line.ask(Request("whoami"), line.timeout).text)
    return str(found.get("role", "")), str(found.get("user", ""))


def events_on(line: LineSocket) -> list[EventRow]:
    """Ask on a connection in JSON what happened lately. Blocks."""
    line.ask(Request("events"), line.timeout)
    return [event_of(parse(row)) for row in line.rows(line.timeout)]


def jobs_in(lines: Round) -> int | None:
    """Return the sum of the jobs that the nodes count; None when none of them says."""
    counts = [row["value"] for line in lines if type((row := parse(line)).get("value")) is int]
    return sum(counts) if counts else None


def once(
    place: DaemonEndpoints, wanted: ProcessQuery | None, clock: Callable[[], float] = time.monotonic
) -> ClusterState:
    """
    Return one snapshot, over one connection. Blocks: two seconds for nodes that are silent.

    :raises GomdError: there is no daemon, or it refuses.
    """
    requests = [
        Request("whoami"),
        Request("nodes"),
        Request("events"),
        _one_round(ALL, "stats", JOBS_COUNTER),
    ]
    requests += [_one_round(*wanted.words())] if wanted is not None else []
    (caller, _), (_, nodes), (_, events), (_, jobs), *processes = answers(place.line(requests[0]), requests)
    now = clock()
    table = None
    if wanted is not None:
        [(_, lines)] = processes
        table = MergedTable(wanted.sort, read_round(_only(lines), wanted.sort, now, {}), now)
    found = parse(caller)
    return ClusterState(
        now, tuple(node_of(parse(row)) for row in nodes), now, table, wanted,
        tuple(event_of(parse(row)) for row in events[-MAX_EVENTS:]), jobs_in(_only(jobs)),
        str(found.get("role", "")), str(found.get("user", "")),
    )  # fmt: skip


def _one_round(*words: str) -> Request:
    return Request("watch", ("-c", "1", *words))


def _only(lines: Round) -> Round:
    """Return the one round of a watch. :raises MalformedReply: there is another number of them."""
    rounds = list(rounds_of([lines]))
    if len(rounds) != 1:
        raise MalformedReply(f"a watch gave {len(rounds)} rounds, not one")
    return rounds[0]
