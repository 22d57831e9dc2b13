"""
What kinship found out, as changes of the members and as events.

kinship does not say whether a node that left said goodbye, nor who suspected a node first; `_departure` and
`Suspicions` find it out as far as that is possible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import kinship

from gomd.cluster.problem_reports import ProblemReports
from gomd.cluster.rivals import Rivals
from gomd.cluster.summaries import Summaries
from gomd.cluster.swim.member import SwimMember, host_of, parse_id, parse_member
from gomd.cluster.swim.runner import SwimRunner
from gomd.cluster.swim.suspicions import Suspicions
from gomd.interfaces import IEvents
from libgomd.model import Event, EventKind, Node
from libgomd.wallclock import Wall
from libgomd.wire.messages import MAX_NAME
from libgomd.wire.text import printable

#: Seconds for which the place of a second node with one id is remembered; kinship tells of it repeatedly.
_RIVAL_KEPT: Final = 60.0
#: Maximum number of events that are taken at once: about 5 ms of work.
MAX_EVENTS: Final = 200


class SwimChanges:
    """
    Applies the events of kinship to the members, and publishes events.

    :param own: gives this node. :param seconds: the time of a monotonic clock.
    :param compare: has the members compared with kinship's list, after events were lost.
    :ivar members: the other nodes, by id; those that are gone too.
    :ivar joined: whether a node has joined since this was last set to False.
    :ivar version: another number whenever a node came, went or changed.
    """

    def __init__(
        self,
        own: Callable[[], Node],
        runner: SwimRunner,
        summaries: Summaries,
        seconds: Callable[[], float],
        events: IEvents,
        wall: Wall,
        problems: ProblemReports,
        compare: Callable[[], None],
    ) -> None:
        self.members: dict[int, SwimMember] = {}
        self.joined = False
        self.version = 0
        self._own = own
        self._own_id = own().id
        self._runner = runner
        self._summaries = summaries
        self._seconds = seconds
        self._events = events
        self._wall = wall
        self._problems = problems
        self._compare = compare
        self._suspicions = Suspicions(self._own_id, runner.broadcast)
        self._pending: deque[kinship.Event] = deque()
        self._rivals = Rivals(seconds, _RIVAL_KEPT)
        self._refused: set[int] = set()

    def take(self) -> bool:
        """
        Process the next events; return whether there are more.

        Those after a gap wait for the list of members, which ``compare`` fetches.
        """
        for event in self._runner.events(MAX_EVENTS - len(self._pending)):
            self._pending.append(event)
            if isinstance(event, kinship.EventsLost):
                break
        more = len(self._pending) >= MAX_EVENTS
        while self._pending:
            self._take(self._pending.popleft())
        now = self._seconds()
        self._suspicions.probes_failed(self._runner.probes_failed(), now)
        for member in self._suspicions.due(now):
            self._publish_suspicion(member)
        return more

    def _take(self, event: kinship.Event) -> None:
        if isinstance(event, kinship.EventsLost):
            self._compare()
        elif isinstance(event, kinship.NameConflict):
            self._conflict(event)
        elif isinstance(event, kinship.UserMessage):
            sender = parse_id(event.sender.name)
            if sender is not None and sender != self._own_id:
                self._suspicions.heard(event.data, sender, self._seconds())
        else:
            seen = parse_member(event.member)
            if seen is None:
                reason = f"{event.member.addr} speaks swim with our key, but is no gomd: it is ignored"
                self._problems.report(self._own_id, self._own().name, reason)
            elif seen.id != self._own_id:
                self._change(event, seen)

    def _change(self, event: kinship.Event, seen: SwimMember) -> None:
        member = self.members.get(seen.id)
        if isinstance(event, (kinship.MemberJoined, kinship.MemberUpdated)):
            self._up(seen)
        elif member is None or member.kin != seen.kin:
            return  # a name that the node has no more, or that of a second one with its id
        elif isinstance(event, kinship.MemberSuspect) and member.gone is None:
            member.suspected = self._seconds()
            self._suspicions.suspected(member, member.suspected)
        elif isinstance(event, kinship.MemberRecovered) and member.suspected is not None:
            self._end_suspicion(member)
            self.publish(EventKind.UP, member, "it answers after all", self._own_id)
        elif isinstance(event, kinship.MemberDead):
            self._down(member)
        elif isinstance(event, kinship.MemberLeft):
            self._departure(event, member)

    def _departure(self, event: kinship.MemberLeft, member: SwimMember) -> None:
        """Tell a goodbye from a new start of a daemon that nobody missed: its new epoch follows at once."""
        name = event.member.name
        following = self._pending[0] if self._pending else None
        again = isinstance(following, kinship.MemberJoined) and following.member.name == name
        if again or self._runner.epoch_of(name) > event.member.epoch:
            reason = "its daemon was started again, without a goodbye"
            self._gone(EventKind.LEAVE, member, reason, self._own_id)
        else:
            self._gone(EventKind.LEAVE, member, "it said goodbye", member.id)

    def _down(self, member: SwimMember) -> None:
        since = member.suspected
        self._end_suspicion(member)
        after = "" if since is None else f" within {self._seconds() - since:.0f} s"
        reason = f"silent: {self._unanswered(member)}, and it did not contradict{after}"
        self._gone(EventKind.DOWN, member, reason, member.accuser or self._own_id)

    def _unanswered(self, member: SwimMember) -> str:
        by = member.accuser
        if by in (0, self._own_id):
            whose = "this node" if by else "a node that kinship does not name"
        else:
            whose = self.members[by].name if by in self.members else f"node{by}"
        return f"no answer to the probes of {whose}, neither directly nor through other nodes"

    def _end_suspicion(self, member: SwimMember) -> None:
        member.suspected = None
        if self._suspicions.ends(member):
            self._publish_suspicion(member)

    def _publish_suspicion(self, member: SwimMember) -> None:
        self.publish(EventKind.SUSPECT, member, self._unanswered(member), member.accuser or self._own_id)

    def _up(self, seen: SwimMember) -> None:
        old = self.members.get(seen.id)
        if old is not None and old.gone is None and old.kin != seen.kin and self._runner.epoch_of(old.kin):
            self._two_with_one_id(seen.id, seen.address[0], old.address[0], old.name)
            self._refused.add(seen.id)
            return
        if old is not None and old.gone is None and old.epoch == seen.epoch:
            old.name, old.address, old.stream_port = seen.name, seen.address, seen.stream_port
            self.version += 1
            return
        self.members[seen.id] = seen
        if old is not None and old.epoch == seen.epoch:
            self.publish(EventKind.UP, seen, "it answers again", self._own_id)
            return
        again = ""
        if old is not None:
            moved = old.address[0] != seen.address[0]
            again = f", it was at {old.address[0]}" if moved else ", its daemon was started again"
        self.publish(EventKind.JOIN, seen, f"up at {seen.address[0]}{again}", self._own_id)
        self.joined = True

    def _gone(self, kind: EventKind, member: SwimMember, reason: str, by: int) -> None:
        if member.gone is None:
            self._end_suspicion(member)
            member.gone = self._seconds()
            self._summaries.drop(member.id)
            self.publish(kind, member, reason, by)
            if member.id in self._refused:
                self._refused.discard(member.id)
                self._compare()  # the second one may take its place

    def synchronised(self, seen: Sequence[SwimMember]) -> Iterator[None]:
        """Take over a list of members, one each time that this is advanced."""
        present = {each.id for each in seen}
        for member in list(self.members.values()):
            if member.id not in present:
                self._gone(EventKind.DOWN, member, "kinship no longer lists it", self._own_id)
                yield
        for each in seen:
            self._up(each)
            yield

    def _conflict(self, event: kinship.NameConflict) -> None:
        node = parse_id(event.member.name)
        if node is not None:
            said = printable(event.member.meta.get("name", ""))[:MAX_NAME]
            name = self.members[node].name if node in self.members else said
            self._two_with_one_id(node, host_of(event.other_addr), host_of(event.member.addr), name)

    def _two_with_one_id(self, node: int, second: str, first: str, name: str) -> None:
        """Report a second daemon with the id of a node that is up, which stays."""
        self._rivals.note(node, second)
        reason = f"two daemons have the id {node}, at {second} and {first}: give one of them another"
        self._problems.report(node, name, reason)

    def is_rival(self, node: int, host: str) -> bool:
        """See `MembershipListener.is_rival`."""
        member = self.members.get(node)
        if member is None or member.gone is not None:
            return False
        return self._rivals.is_rival(node, host, (member.address[0],))

    def publish(self, kind: EventKind, member: SwimMember | Node, reason: str, by: int) -> None:
        """Publish an event about a node. ``by`` is the id of the node that found it out."""
        self.version += 1
        self._events.publish(Event(self._wall(), kind, member.id, member.name, reason, by))
