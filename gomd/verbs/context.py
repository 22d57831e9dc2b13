"""The parts of the daemon that a verb can use, and the session of its caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
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
    ISurvey,
    ISwitchNotes,
    IThreads,
    ITokens,
    ITree,
    UserAccount,
    UserHere,
)
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.ownership import Annotations
from gomd.verbs.branches import FAN_OUT
from gomd.verbs.intermediates import Intermediates
from libgomd.errors import NotPossible
from libgomd.model import Caller, Counter, Event, Finding, Holdings, Measure, Process, Role, Switch
from libgomd.wallclock import Wall
from libgomd.wire.lines import Request


@implementer(ISignIn)
class NoSignIn:
    """There is no page."""

    def code(self, caller: Caller) -> tuple[str, str]:
        """See `ISignIn.code`."""
        raise NotPossible("this daemon has no page: set [http] endpoint, such as tcp:127.0.0.1:2980")


@implementer(ISwitchNotes)
class MemorySwitchNotes:
    """Remembers notes in memory only."""

    def __init__(self) -> None:
        self._notes: dict[str, Switch] = {}

    def notes(self) -> Mapping[str, Switch]:
        """See `ISwitchNotes.notes`."""
        return self._notes

    def write(self, note: Switch) -> None:
        """See `ISwitchNotes.write`."""
        self._notes = {**self._notes, note.switch: note}


@implementer(ISurvey)
class NoSurvey:
    """Knows nobody, and no directory."""

    def users(self, jobs: Sequence[tuple[int, int]], uids: Collection[int]) -> Sequence[UserHere]:
        """See `ISurvey.users`."""
        return ()

    def accounts(self, names: Sequence[str], everybody: bool) -> Sequence[UserAccount]:
        """See `ISurvey.accounts`."""
        return ()

    def directories(self, asked: Sequence[tuple[str, str]]) -> Sequence[str | None]:
        """See `ISurvey.directories`."""
        return ["unknown"] * len(asked)


async def no_paths() -> Sequence[Finding]:
    """Return nothing: there are no other nodes."""
    return ()


@dataclass(frozen=True)
class Parts:
    """
    The parts of the daemon that verbs use, each by its interface.

    :ivar wall: gives the time of stamps; ``clock`` is for durations only.
    :ivar hides_others: whether /proc hides processes of other users (``hidepid``); the verbs then do so too.
    :ivar annotations: shows the processes of the whole table under their homes.
    :ivar trouble: why the other nodes cannot reach this one, a clause; empty when they can.
    :ivar switch_notes: knows who set the switches of this node, and why.
    :ivar measures: gives the newest measures of this node.
    :ivar kept_command: removes from a process what `[history] commands` says is not kept of it.
    :ivar kept_event: does the same for an event.
    :ivar holdings: reads what processes hold; blocks: see `INodeSource.holdings`.
    :ivar counters: gives what all parts have counted, for `stats`.
    :ivar sign_in: where browsers sign in.
    :ivar introduction: gives what a new node must be told, for `invitation`: the path of the key file, the
        address and port of this node, whether multicast finds the others, the seeds, and the settings that
        all nodes have alike.
    :ivar fan_out: how many nodes one request asks itself; more are asked through others.
    :ivar intermediates: which nodes have been no good for that.
    :ivar trusted: gives the caller that a caller of another node is here, ``(request, role of the verb,
        caller)``; raises `NotAllowed` when it may not ask for that here.
    :ivar examine: looks for what is wrong on this node, for `doctor`; blocks. Its argument says whether the
        caller may be told where the daemon keeps its files.
    :ivar survey: gives what tells of users and their directories.
    :ivar paths: probes the paths to other nodes.
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
    switch_notes: ISwitchNotes = field(default_factory=MemorySwitchNotes)
    history: IHistory = field(default_factory=NoHistory)
    jobs: IJobs = field(default_factory=lambda: _no_jobs())
    migrator: IMigrator = field(default_factory=lambda: NoMigrator("this daemon runs no jobs"))
    annotations: Annotations = field(default_factory=Annotations)
    trouble: Callable[[], str] = lambda: ""
    sign_in: ISignIn = field(default_factory=NoSignIn)
    measures: Callable[[], Sequence[Measure]] = tuple
    holdings: Callable[[Sequence[tuple[int, int]]], Sequence[Holdings]] = lambda asked: [
        Holdings() for _ in asked
    ]
    kept_command: Callable[[Process], Process] = lambda process: process
    kept_event: Callable[[Event], Event] = lambda event: event
    examine: Callable[[bool], Sequence[Finding]] = lambda _shows_paths: ()
    survey: Callable[[], ISurvey] = NoSurvey
    paths: Callable[[], Awaitable[Sequence[Finding]]] = no_paths
    introduction: Callable[[], Mapping[str, object]] = dict
    fan_out: int = FAN_OUT
    intermediates: Intermediates = field(default_factory=Intermediates)
    trusted: Callable[[Request, Role, Caller], Caller] = lambda _request, _role, caller: caller


def _no_jobs() -> IJobs:
    from gomd.jobs.disabled import NoJobs  # a daemon that runs jobs has no need of it

    return NoJobs()


class ISession(Interface):
    """One connection: its caller, and the format of its answers. Both can change while it lasts."""

    caller = Attribute("Caller: the caller")
    json = Attribute("bool: whether answers are JSON")
    token = Attribute("str: the token that gave the caller its role, empty when none did")
    wrong_tokens = Attribute("int: how often `auth` was sent with an unknown token")
