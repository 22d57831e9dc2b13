"""The interfaces of a store for the past: one writes it, one reads it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from zope.interface import Attribute, Interface

from libgomd.model import Counter, Event, HistoryRow, Job, Measure, Node, Process, ProcessTable, Sample


class RememberedTable(NamedTuple):
    """
    The processes of a node at a moment, as far as they are remembered.

    :ivar node: whose processes. :ivar by: id of the node that remembered them.
    :ivar taken_at: when they were scanned, in seconds since the epoch.
    :ivar hidden: whether that node hid the processes of other users then (``hidepid``).
    :ivar processes: in the order of their ids; what is not known of one is None.
    :ivar in_jobs: identities of those that belonged to jobs.
    """

    node: int
    by: int
    taken_at: float
    hidden: bool
    processes: Sequence[Process]
    in_jobs: frozenset[str]


class RememberedEvent(NamedTuple):
    """An event. :ivar hidden: whether the node hid the jobs of other users when it happened."""

    event: Event
    hidden: bool


class HistoryPage(NamedTuple):
    """
    Rows of the past for a collector. :ivar cursor: continues behind them. :ivar more: whether there are more.

    :ivar lines: objects of JSON, one a line, each with a ``kind`` and ``rows``.
    """

    cursor: str
    more: bool
    lines: Sequence[str]


class AskedPage(NamedTuple):
    """A page of ``node``. :ivar stream: as in `IHistory.page`. :ivar asked_with: the cursor before it."""

    node: int
    stream: str
    asked_with: str
    page: HistoryPage


class ISampleLog(Interface):
    """
    Stores samples, processes and events: the writer of the history.

    A full disk or a missing directory raises nothing: losses are counted, and it tries again.
    """

    blocks = Attribute("bool: whether the methods that store wait for a disk, and so belong on a thread")

    def write(node: Node, sample: Sample) -> None:
        """Store one sample of one node."""

    def write_processes(node: Node, table: ProcessTable, hidden: bool, in_jobs: frozenset[str]) -> None:
        """
        Store a scan of the processes of ``node``: those that use most.

        :param hidden: whether the node hides processes of other users now (``hidepid``).
        :param in_jobs: identities of those that belong to jobs.
        """

    def write_measures(measures: Sequence[Measure], now: float) -> None:
        """Store those of ``measures`` that are `Measure.kept`. ``now`` is in seconds since the epoch."""

    def write_nodes(nodes: Sequence[Node], now: float) -> None:
        """Store what is known of all nodes. ``now`` is in seconds since the epoch."""

    def write_event(event: Event, hidden: bool) -> None:
        """Store an event. ``hidden`` as in `write_processes`."""

    def write_jobs(jobs: Sequence[Job], now: float) -> None:
        """Store jobs that are new or have changed."""

    def write_remembered(table: RememberedTable) -> None:
        """Store the busiest processes of another node, which it has sent."""

    def checkpoint(name: str, now: float) -> None:
        """Store a named mark, to find this moment again. ``now`` is in seconds since the epoch."""

    def set_limits(rotate_bytes: int, keep: int, max_bytes: int) -> None:
        """
        Change how much is kept; a store uses the limits that concern it.

        :param rotate_bytes: size of a flat file. :param keep: number of old ones.
        :param max_bytes: size of the database.
        """

    def close() -> None:
        """Flush and close. Blocks. Nothing is written afterwards."""

    def counters() -> Iterable[Counter]:
        """Return how many records were written and lost."""


class IHistory(Interface):
    """
    Reads the past. Every method blocks; call it on a thread.

    Every method may raise `NotPossible` (no history is kept here; the text says why and what to do),
    `SourceUnavailable` (it cannot be read now) and `TimedOut` (there is too much to read).
    """

    def fields(node: int) -> Sequence[str]:
        """Return the names of the values that are kept of a node, sorted."""

    def find_node(key: str) -> Node | None:
        """Return the node with this id or name as it was last known; None when it never was."""

    def values(
        node: int, fields: Sequence[str], since: float, until: float, points: int
    ) -> Sequence[HistoryRow]:
        """
        Return the values of ``node`` from ``since`` to ``until``, by time, then in the order of ``fields``.

        :param points: largest number of rows of a field; each row is about the same length of time.
        :returns: no row for a time of which nothing is known.
        """

    def nodes_at(moment: float) -> Sequence[Node]:
        """Return every node as it was known at ``moment``, ordered by id; empty when nothing was known."""

    def processes_at(node: int, moment: float) -> RememberedTable | None:
        """Return the processes of ``node`` at ``moment``; None when they are not known."""

    def events(since: float, until: float, kinds: Collection[str] = ()) -> Sequence[RememberedEvent]:
        """
        Return the events from ``since`` to ``until``, oldest first; the newest `MAX_EVENTS` of them.

        :param kinds: values of `EventKind`, empty for all.
        """

    def page(cursor: str, stream: str) -> HistoryPage:
        """
        Return rows that were written after those of ``cursor``, for a collector.

        :param cursor: of the page before, empty for the start.
        :param stream: ``own``: the past of this node. ``seen``: what this node knows of other nodes.
        :raises MalformedRequest: the cursor is none.
        """


class ICollectedHistory(Interface):
    """
    A database in which collectors store the histories of many nodes. Every method blocks.

    Every method may raise `SourceUnavailable` (it cannot be used now; nothing was stored) and `NotPossible`
    (it must not be used; the text says why and what to do). One thread at a time may use it.
    """

    def lease(nodes: Sequence[int], stream: str) -> Mapping[int, str]:
        """
        Return the cursors of those of ``nodes`` that this collector may store now, for half a minute.

        The others are another collector's. A cursor is empty for a node of which nothing is stored.
        """

    def store(pages: Sequence[AskedPage]) -> Sequence[int | None]:
        """
        Store pages and their cursors, all at once.

        :returns: for each the number of its rows; None when another collector has gone on meanwhile, and
            nothing of it is stored.
        """

    def expire() -> int:
        """Remove what is too old; return the number of partitions that were dropped."""

    def close() -> None:
        """Close the connection; a call under way fails. Any thread may call it. Raises nothing."""
