"""What a verb can reach: the parts of the daemon, and the connection that asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime
from zope.interface import Attribute, Interface

from gomd.interfaces import (
    ICollector,
    ICommands,
    IEvents,
    IJobs,
    IMembership,
    IMigrator,
    IPeers,
    IProcessControl,
    IRelocation,
    ISampleLog,
    IStoppable,
    IThreads,
    ITokens,
    ITree,
)
from gomd.jobs.disabled import NoJobs
from gomd.jobs.migration.disabled import NoMigrator
from libgomd.model import Counter
from libgomd.wallclock import Wall


@dataclass(frozen=True)
class Parts:
    """
    The parts of the daemon that verbs ask, each by its interface.

    :ivar wall: gives the time of stamps; ``clock`` is for durations only.
    :ivar hides_others: the kernel hides other people's processes (``hidepid``), and so do we.
    :ivar trouble: why the other nodes cannot reach this one, a clause; empty when they can.
    :ivar counters: everything that counts, for `stats`.
    """

    clock: IReactorTime
    wall: Wall
    collector: ICollector
    members: IMembership
    peers: IPeers
    events: IEvents
    tree: ITree
    control: IProcessControl
    threads: IThreads
    commands: ICommands
    tokens: ITokens
    sample_log: ISampleLog
    daemon: IStoppable
    counters: Callable[[], Iterable[Counter]]
    periods: Callable[[], tuple[float, float]]
    hides_others: Callable[[], bool]
    relocation: IRelocation
    jobs: IJobs = field(default_factory=NoJobs)
    migrator: IMigrator = field(default_factory=lambda: NoMigrator("this daemon runs no jobs"))
    trouble: Callable[[], str] = lambda: ""


class ISession(Interface):
    """One connection: who asks and how he wants his answers. Both can change while it lasts."""

    caller = Attribute("Caller: who asks")
    json = Attribute("bool: answers as JSON")
    wrong_tokens = Attribute("int: how often `auth` was given a token that is not known")
