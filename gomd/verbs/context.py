"""What a verb can use: the parts of the daemon, and the session of the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime
from zope.interface import Attribute, Interface, implementer

from gomd.history.none import NoHistory
from gomd.interfaces import (
    ICollector,
    ICommands,
    IEvents,
    IHistory,
    IJobs,
    IMembership,
    IMigrator,
    IPeers,
    IProcessControl,
    IRelocation,
    ISampleLog,
    ISignIn,
    IStoppable,
    IThreads,
    ITokens,
    ITree,
)
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.ownership import Annotations
from libgomd.errors import NotPossible
from libgomd.model import Caller, Counter, Finding, Measure, Process
from libgomd.wallclock import Wall


@implementer(ISignIn)
class NoSignIn:
    """There is no page."""

    def code(self, caller: Caller) -> tuple[str, str]:
        """See `ISignIn.code`."""
        raise NotPossible("this daemon has no page: set [http] endpoint, such as tcp:127.0.0.1:2980")


@dataclass(frozen=True)
class Parts:
    """
    The parts of the daemon that verbs use, each by its interface.

    :ivar wall: gives the time of stamps; ``clock`` is for durations only.
    :ivar hides_others: whether /proc hides processes of other users (``hidepid``); the verbs then do so too.
    :ivar annotations: shows the processes of the whole table under their homes.
    :ivar trouble: why the other nodes cannot reach this one, a clause; empty when they can.
    :ivar measures: gives the newest measures of this node.
    :ivar kept_command: removes from a process what `[history] commands` says is not kept of it.
    :ivar counters: gives what all parts have counted, for `stats`.
    :ivar sign_in: where browsers sign in.
    :ivar examine: looks for what is wrong on this node, for `doctor`; blocks. Its argument says whether the
        caller may be told where the daemon keeps its files.
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
    history: IHistory = field(default_factory=NoHistory)
    jobs: IJobs = field(default_factory=lambda: _no_jobs())
    migrator: IMigrator = field(default_factory=lambda: NoMigrator("this daemon runs no jobs"))
    annotations: Annotations = field(default_factory=Annotations)
    trouble: Callable[[], str] = lambda: ""
    sign_in: ISignIn = field(default_factory=NoSignIn)
    measures: Callable[[], Sequence[Measure]] = tuple
    kept_command: Callable[[Process], Process] = lambda process: process
    examine: Callable[[bool], Sequence[Finding]] = lambda _shows_paths: ()


def _no_jobs() -> IJobs:
    from gomd.jobs.disabled import NoJobs  # a daemon that runs jobs has no need of it

    return NoJobs()


class ISession(Interface):
    """One connection: its caller, and the format of its answers. Both can change while it lasts."""

    caller = Attribute("Caller: the caller")
    json = Attribute("bool: whether answers are JSON")
    wrong_tokens = Attribute("int: how often `auth` was sent with an unknown token")
