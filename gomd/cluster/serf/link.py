"""
Keeps a connection to the Serf agent, and brings it up to date whenever it is new.

Theory of operation. On each new connection the agent is told this node's tags and asked for all members, so
whatever was missed meanwhile is made up for. It is asked for its statistics every `PING_INTERVAL` seconds:
an agent that does not answer is taken for lost, which a stopped process (SIGSTOP) is. Joining other agents
may take minutes for addresses where nobody answers, and blocks its connection, so it has one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.cluster.serf.agent_files import PORT_OFFSET, join_host
from gomd.cluster.serf.member import ADDRESS_TAG
from gomd.cluster.serf.own_agent import Agent
from gomd.cluster.serf.rpc_client import SerfRpc
from gomd.cluster.serf.rpc_reader import Listed, text_of
from gomd.cluster.summaries import Address
from libgomd.errors import GomdError, NotPossible, TimedOut

#: Seconds until the next try to connect: the first, and at most. Each time twice as long.
FIRST_RETRY: Final = 0.25
MAX_RETRY: Final = 15.0
#: Seconds between two questions whether the agent still works, and between two comparisons of all members.
PING_INTERVAL: Final = 3.0
COMPARE_INTERVAL: Final = 60.0
#: Seconds that a join, and a goodbye, may take.
_JOIN_TIMEOUT: Final = 120.0
_LEAVE_TIMEOUT: Final = 2.5
#: Maximum number of addresses that are joined at once.
_MAX_JOINED: Final = 64


class LinkListener(Protocol):
    """Who is told what the agent says."""

    def all_members(self, listed: Listed) -> None:
        """Take the list of all members."""

    def members_changed(self, listed: Listed) -> None:
        """Take one event."""


class AgentLink:
    """
    A connection to ``agent``, opened again and again.

    :param connect: opens a connection to a host and port within a few seconds, or fails with `GomdError`.
    :param tags: returns what the agent's tags must be now.
    :ivar member: the name of the agent in Serf, empty until it is known.
    :ivar why_away: why the agent cannot be spoken to, empty while it can. :ivar away_since: since when, in
        seconds of the clock. :ivar connections: number of connections since the start.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        agent: Agent,
        connect: Callable[[str, int], Deferred[SerfRpc]],
        clock: IReactorTime,
        tags: Callable[[], Mapping[str, str]],
    ) -> None:
        self.agent = agent
        self.member = ""
        self.why_away = "it is not started yet"
        self.away_since = clock.seconds()
        self.connections = 0
        self._connect = connect
        self._clock = clock
        self._tags = tags
        self._listener: LinkListener | None = None
        self._rpc: SerfRpc | None = None
        self._said: dict[str, str] | None = None
        self._opening = False
        self._next_try = 0.0
        self._retry = FIRST_RETRY
        self._next_ping = self._next_compare = 0.0
        self._busy = self._joining = False

    @property
    def is_up(self) -> bool:
        """Whether the agent answers."""
        return self._rpc is not None

    def start(self, listener: LinkListener) -> None:
        """Start the agent, if it is ours, and connect to it; `step` does the rest."""
        self._listener = listener
        self.agent.start()

    async def stop(self) -> None:
        """
        Leave the cluster if the agent is ours, else take our tags away, so that others see that gomd stopped.

        Never raises; takes a few seconds at most.
        """
        listener, self._listener = self._listener, None
        rpc, self._rpc = self._rpc, None
        if rpc is not None and listener is not None:
            rpc.lost = lambda _reason: None
            try:
                if self.agent.is_ours:
                    await rpc.call("leave", None, _LEAVE_TIMEOUT)
                else:
                    await rpc.call("tags", {"Tags": {}, "DeleteTags": sorted(self._said or ())})
            except GomdError as error:
                self._log.debug("the Serf agent was not told that gomd stops: {error}", error=error)
            rpc.close()
        await self.agent.stop()

    # -- periodic work

    def step(self, now: float) -> None:
        """Connect, or see whether the agent answers, as is due. Call it twice a second. Never raises."""
        if self._listener is None:
            return
        if self._rpc is None:
            if not self._opening and now >= self._next_try:
                self._opening = True
                Deferred.fromCoroutine(self._open())
        elif not self._busy and (now >= self._next_ping or self._said != dict(self._tags())):
            self._busy = True
            Deferred.fromCoroutine(self._ask(self._rpc, now))

    def compare(self) -> None:
        """Ask for all members with the next step."""
        self._next_compare = self._next_ping = 0.0

    async def _open(self) -> None:
        """Open a connection. Never raises."""
        rpc: SerfRpc | None = None
        try:
            host, port, auth = await self.agent.place()
            rpc = await self._connect(host, port)
            await self._begin(rpc, auth)
        except GomdError as error:
            self._away(str(error))
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("the Serf agent cannot be spoken to")
            self._away("see the log")
        finally:
            self._opening = False
            if rpc is not None and rpc is not self._rpc:
                rpc.close()

    async def _begin(self, rpc: SerfRpc, auth: str) -> None:
        await rpc.begin(auth)
        if self._listener is not None:
            rpc.event = self._listener.members_changed
        await rpc.stream()
        await self._say_tags(rpc)
        self._take_statistics(await rpc.call("stats"))
        listed = await rpc.call("members")
        if self._listener is None:
            return
        now = self._clock.seconds()
        self._rpc, rpc.lost = rpc, self._lost
        self.why_away, self._retry = "", FIRST_RETRY
        self.connections += 1
        self._next_ping, self._next_compare = now + PING_INTERVAL, now + COMPARE_INTERVAL
        self._listener.all_members(listed)

    async def _ask(self, rpc: SerfRpc, now: float) -> None:
        """See whether the agent answers. Never raises."""
        try:
            await self._say_tags(rpc)
            self._take_statistics(await rpc.call("stats"))
            self._next_ping = now + PING_INTERVAL
            if now >= self._next_compare:
                self._next_compare = now + COMPARE_INTERVAL
                listed = await rpc.call("members")
                if self._listener is not None and rpc is self._rpc:
                    self._listener.all_members(listed)
        except GomdError as error:
            if rpc is self._rpc:
                rpc.close()
                if isinstance(error, TimedOut):
                    self.agent.unresponsive()
                self._lost(str(error))
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("the Serf agent could not be asked")
        finally:
            self._busy = False

    async def _say_tags(self, rpc: SerfRpc) -> None:
        tags = dict(self._tags())
        if tags != self._said or rpc is not self._rpc:
            try:
                await rpc.call("tags", {"Tags": tags, "DeleteTags": []})
            except NotPossible as error:
                raise NotPossible(f"it does not take this node's tags: {error}") from error
            has_moved = self._said is not None and self._said.get(ADDRESS_TAG) != tags.get(ADDRESS_TAG)
            self._said = tags
            if has_moved:
                self.agent.restart()  # it tells the others its address when it starts, and never again

    def _take_statistics(self, found: Any) -> None:
        agent = found.get(b"agent") if isinstance(found, dict) else None
        self.member = text_of(agent.get(b"name")) if isinstance(agent, dict) else ""

    def _lost(self, reason: str) -> None:
        self._rpc = None
        if self._listener is not None:
            self._away(reason)

    def _away(self, reason: str) -> None:
        now = self._clock.seconds()
        if not self.why_away:
            self.away_since = now
        self.why_away = reason
        self._next_try = now + self._retry
        self._retry = min(MAX_RETRY, self._retry * 2)

    # -- other agents

    def join(self, peers: Sequence[Address]) -> None:
        """
        Have our own agent contact the agents of the nodes with these peer ports.

        The cluster of an administrator's agent is left as it is.
        """
        places = [
            join_host(host, port + PORT_OFFSET) for host, port in peers if port + PORT_OFFSET <= 65535
        ]  # fmt: skip
        if places and self.agent.is_ours and self.is_up and not self._joining:
            self._joining = True
            Deferred.fromCoroutine(self._join(places[:_MAX_JOINED]))

    async def _join(self, places: Sequence[str]) -> None:
        """Never raises."""
        rpc: SerfRpc | None = None
        try:
            host, port, auth = await self.agent.place()
            rpc = await self._connect(host, port)
            await rpc.begin(auth)
            await rpc.call("join", {"Existing": list(places), "Replay": False}, _JOIN_TIMEOUT)
        except GomdError as error:
            self._log.debug("some seeds were not joined: {error}", error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("joining the seeds failed")
        finally:
            self._joining = False
            if rpc is not None:
                rpc.close()

    def force_leave(self, member: str) -> None:
        """Have Serf forget a member that has failed and whose node has another agent now."""
        if self._rpc is not None:
            self._rpc.call("force-leave", {"Node": member}).addErrback(
                lambda failure: self._log.debug("force-leave: {reason}", reason=failure.value)
            )
