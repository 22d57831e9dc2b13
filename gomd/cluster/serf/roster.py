"""
The nodes that the serf engine knows, and what changes them: what Serf says, and what the nodes prove.

Theory of operation. A node is up from when it has proven its claim (`gomd.cluster.serf.proofs`) until it
stops answering. A node that Serf calls failed or says has left, or whose tags say that its gomd has stopped,
is asked at once and then every second for a while, and is gone when it is silent, too; a daemon that leaves
answers no more. A node that Serf calls alive is asked now and then, because an agent may live on without its
gomd. So an agent that dies or lies, and whoever is in the Serf cluster without our key, can neither bring up
a node nor call down one that works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from gomd.cluster.problem_reports import ProblemReports
from gomd.cluster.rivals import Rivals
from gomd.cluster.serf.agent_files import is_of_gomd
from gomd.cluster.serf.member import Heard, NodeClaim
from gomd.cluster.serf.proofs import DOUBT_INTERVAL, Proof, Proofs, interval
from gomd.cluster.summaries import Address
from gomd.interfaces import IEvents
from libgomd.model import Event, EventKind, Node
from libgomd.wallclock import Wall

#: Unanswered questions, of three tries each, after which a node is suspected, and after which it is down. One
#: that Serf calls failed is down after the first one.
SUSPECT_AFTER: Final = 2
DOWN_AFTER: Final = 3
_FAILED: Final = "failed: no Serf agent gets an answer from its agent, nor this node from its gomd"
_REAPED: Final = "reaped: Serf no longer lists its agent, and its gomd does not answer this node"
_LEFT: Final = "left: its Serf agent said goodbye"
_STOPPED: Final = "gomd stopped, its Serf agent goes on"
#: Seconds for which Serf may call a node gone that answers, before that is reported. Meanwhile it is asked as
#: one that has not answered.
REPORT_FAILED_AFTER: Final = 30.0
#: Failures after which a claim that was never proven is reported.
_REPORT_AFTER: Final = 3
#: Seconds until a second member that claims the id of a node that is up is asked again.
_RIVAL_RETRY: Final = 60.0


class SerfNode:
    """
    One other node.

    :ivar member: the name of its agent in Serf. :ivar claim: what it has proven. :ivar address: where it
        answered.
    :ivar answered: when it last did. :ivar doubts: questions since then without an answer.
    :ivar failure: why it is gone if it does not answer, empty while Serf calls its agent alive; since
        ``failed_at``. :ivar failed_as: the kind of the event then.
    :ivar gone: when it left or went down, None while it is up.
    """

    __slots__ = (
        "address", "answered", "asking", "claim", "doubts", "failed_as", "failed_at", "failure", "gone",
        "member",
    )  # fmt: skip

    def __init__(self, member: str, claim: NodeClaim, address: Address, now: float) -> None:
        self.member = member
        self.claim = claim
        self.address = address
        self.answered = now
        self.doubts = 0
        self.asking = False
        self.failure, self.failed_at, self.failed_as = "", 0.0, EventKind.DOWN
        self.gone: float | None = None

    @property
    def id(self) -> int:
        """Its id."""
        return self.claim.id

    @property
    def name(self) -> str:
        """Its name."""
        return self.claim.name


class SerfRoster:
    """
    :param own: gives this node. :param forget: seconds for which a node that is gone stays listed.
    :param max_nodes: maximum number of nodes, this one included.
    :param dropped: called with the id of a node that is gone. :param force_leave: makes Serf forget a member.
    :ivar nodes: by id. :ivar full: number of nodes that were not remembered.
    """

    def __init__(
        self,
        own: Callable[[], Node],
        clock: IReactorTime,
        events: IEvents,
        wall: Wall,
        problems: ProblemReports,
        forget: float,
        max_nodes: int,
        dropped: Callable[[int], None],
        force_leave: Callable[[str], None],
    ) -> None:
        self.nodes: dict[int, SerfNode] = {}
        self.full = 0
        self.proofs: Proofs  # set by the engine, because each of the two calls the other
        self._own = own
        self._own_id = own().id
        self._clock = clock
        self._events = events
        self._wall = wall
        self._problems = problems
        self._forget = forget
        self._max_nodes = max_nodes
        self._dropped = dropped
        self._force_leave = force_leave
        self._by_member: dict[str, SerfNode] = {}
        self._rivals = Rivals(clock.seconds, 2 * _RIVAL_RETRY)

    def is_rival(self, node: int, host: str) -> bool:
        """See `MembershipListener.is_rival`."""
        known = self.nodes.get(node)
        if known is None or known.gone is not None:
            return False
        return self._rivals.is_rival(node, host, (known.address[0], *known.claim.addresses))

    def up(self) -> Iterable[SerfNode]:
        """Yield the other nodes that are up."""
        return (node for node in self.nodes.values() if node.gone is None)

    # -- what Serf says

    def take(self, heard: Heard, event: str) -> None:
        """Take what Serf says of one member. :param event: ``member-reap``, or anything else."""
        node = self._by_member.get(heard.member)
        if event == "member-reap":
            self._fail(heard.member, node, _REAPED)
        elif heard.status == "alive":
            self._alive(heard, node)
        elif heard.status == "failed":
            self._fail(heard.member, node, _FAILED)
        elif heard.status == "left":
            self._fail(heard.member, node, _LEFT, EventKind.LEAVE)

    def _fail(
        self, member: str, node: SerfNode | None, reason: str, kind: EventKind = EventKind.DOWN
    ) -> None:
        """Ask a node that is said to be gone; it is, as ``kind`` says, when it does not answer."""
        self.proofs.drop(member)
        if node is None or node.gone is not None:
            return
        if node.failure and kind is EventKind.DOWN:
            return
        if not node.failure:
            node.failed_at, node.answered = self._clock.seconds(), float("-inf")
        node.failure, node.failed_as = reason, kind
        if node.doubts:
            self.gone(node, kind, reason)

    def _alive(self, heard: Heard, node: SerfNode | None) -> None:
        claim = heard.claim
        if claim is None:
            self._fail(heard.member, node, _STOPPED, EventKind.LEAVE)
            return
        if node is not None:
            node.failure = ""
            if node.gone is None:
                if node.claim == claim:
                    return
                if node.id != claim.id:
                    reason = f"its Serf agent is that of node {claim.id} now"
                    self._fail(heard.member, node, reason, EventKind.LEAVE)
        if len(self.proofs) >= self._max_nodes and not self.proofs.is_wanted(heard.member):
            self.full += 1
            return
        self.proofs.wanted(heard.member, claim)

    def only(self, members: set[str]) -> None:
        """Take ``members`` for all that Serf lists. An agent that was just started may not know all yet."""
        for node in list(self.up()):
            if node.member not in members:
                self._fail(node.member, node, _REAPED)

    # -- what nodes prove

    def proven(self, member: str, claim: NodeClaim, address: Address) -> None:
        """Take a node that answered with the cluster's key at ``address``."""
        self._problems.solved(f"unproven {member}")
        old = self.nodes.get(claim.id)
        if claim.id == self._own_id:
            self._conflict(claim, address, (self._own().address, 0), self._own().name)
            self.proofs.later(member, claim, _RIVAL_RETRY)
            return
        if old is not None and old.gone is None:
            if old.member != member and old.address != address and not old.doubts:
                self._conflict(claim, address, old.address, old.name)
                self.proofs.later(member, claim, _RIVAL_RETRY)
                return
            self._take_over(old, member, claim, address)
            return
        if old is None and not self._has_room():
            self.full += 1
            reason = (
                f"{self._max_nodes} nodes are known: node {claim.id} is not listed; raise [peers] max_nodes"
            )
            self._problems.report(self._own_id, self._own().name, reason, "full")
            return
        self._up(old, SerfNode(member, claim, address, self._clock.seconds()))

    def _up(self, old: SerfNode | None, node: SerfNode) -> None:
        self._replace(old, node)
        if old is not None and old.claim.start == node.claim.start:
            self._publish(EventKind.UP, node, "it answers again", self._own_id)
            return
        again = ", its daemon was started again" if old is not None else ""
        same = next((each for each in self.up() if each.name == node.name and each is not node), None)
        namesake = f"; node {same.id} has the same name" if same is not None else ""
        self._publish(EventKind.JOIN, node, f"up at {node.address[0]}{again}{namesake}", self._own_id)

    def _take_over(self, old: SerfNode, member: str, claim: NodeClaim, address: Address) -> None:
        """Note that a node that is up has another agent, name, or address, or was started again."""
        if old.claim.start != claim.start:
            self.gone(old, EventKind.LEAVE, "its daemon was started again")
            self._up(old, SerfNode(member, claim, address, self._clock.seconds()))
            return
        self._replace(old, SerfNode(member, claim, address, self._clock.seconds()))

    def _replace(self, old: SerfNode | None, node: SerfNode) -> None:
        if old is not None and self._by_member.get(old.member) is old:
            del self._by_member[old.member]
            if old.member != node.member and old.failure and is_of_gomd(old.member):
                self._force_leave(old.member)
        self.nodes[node.id] = self._by_member[node.member] = node

    def _has_room(self) -> bool:
        if len(self.nodes) + 1 < self._max_nodes:
            return True
        gone = [node for node in self.nodes.values() if node.gone is not None]
        if gone:
            self._forget_node(min(gone, key=lambda node: node.gone or 0.0))
        return bool(gone)

    def _conflict(self, claim: NodeClaim, address: Address, other: Address, name: str) -> None:
        reason = (
            f"two daemons have the id {claim.id}, at {other[0]} and {address[0]}: give one of them another"
        )
        self._problems.report(claim.id, name, reason)
        self._rivals.note(claim.id, address[0])

    def refused(self, member: str, proof: Proof) -> None:
        """Report a member that says it is a node and does not prove it."""
        if proof.tried != _REPORT_AFTER:
            return
        claim, own = proof.claim, self._own()
        old = self.nodes.get(claim.id)
        if old is not None and old.member == member:
            return  # a node that is down, which was an event
        reason = (
            f"Serf's member {member} says that it is node {claim.id} {claim.name} at {claim.addresses[0]}, "
            "but does not answer with our key: it is not listed (another cluster or key, or no gomd there)"
        )
        self._problems.report(own.id, own.name, reason, f"unproven {member}")

    # -- whether nodes that are up still work

    def due(self, now: float) -> list[SerfNode]:
        """Return the nodes that are up and have to be asked now whether they still work."""
        up = list(self.up())
        silence = interval(len(up))

        def is_doubtful(node: SerfNode) -> bool:
            return bool(node.doubts or (node.failure and now - node.failed_at < REPORT_FAILED_AFTER))

        return [
            node for node in up
            if not node.asking and now - node.answered >= (DOUBT_INTERVAL if is_doubtful(node) else silence)
        ]  # fmt: skip

    def answered(self, node: SerfNode) -> None:
        """Note that a node answered with the cluster's key."""
        node.answered = self._clock.seconds()
        doubts, node.doubts = node.doubts, 0
        if node.gone is None and doubts >= SUSPECT_AFTER:
            self._publish(EventKind.UP, node, "it answers after all", self._own_id)
        is_long_ago = self._clock.seconds() - node.failed_at >= REPORT_FAILED_AFTER
        if node.failure and node.gone is None and is_long_ago:
            said = "calls its agent failed" if node.failed_as is EventKind.DOWN else "says that it has left"
            reason = f"Serf {said}, but its gomd answers: it stays listed; see to its Serf agent"
            self._problems.report(node.id, node.name, reason, f"failed {node.id}")

    def silent(self, node: SerfNode) -> None:
        """Note that a node has not answered a question."""
        if node.gone is not None or self.nodes.get(node.id) is not node:
            return
        node.answered = self._clock.seconds()  # of the last question: the next one is due a while after it
        node.doubts += 1
        if node.failure:
            self.gone(node, node.failed_as, node.failure)
        elif node.doubts >= DOWN_AFTER:
            reason = f"silent: its Serf agent is alive, but its gomd has not answered {node.doubts} questions"
            self.gone(node, EventKind.DOWN, reason)
            self.proofs.wanted(node.member, node.claim)
        elif node.doubts == SUSPECT_AFTER:
            self._publish(EventKind.SUSPECT, node, "its gomd does not answer questions", self._own_id)

    def stood_still(self) -> None:
        """Blame nobody for the time in which this process did not run."""
        now = self._clock.seconds()
        for node in self.up():
            node.answered, node.doubts = now, 0

    # -- the end

    def gone(self, node: SerfNode, kind: EventKind, reason: str) -> None:
        """Note that a node that was up is not any more."""
        if node.gone is None:
            node.gone, node.doubts = self._clock.seconds(), 0
            self._dropped(node.id)
            self._problems.solved(f"failed {node.id}")
            self._publish(kind, node, reason, node.id if kind is EventKind.LEAVE else self._own_id)

    def forget(self, now: float) -> None:
        """Forget the nodes that were gone for long enough."""
        for node in list(self.nodes.values()):
            if node.gone is not None and now - node.gone > self._forget:
                self._forget_node(node)

    def _forget_node(self, node: SerfNode) -> None:
        del self.nodes[node.id]
        if self._by_member.get(node.member) is node:
            del self._by_member[node.member]

    def _publish(self, kind: EventKind, node: SerfNode, reason: str, by: int) -> None:
        self._events.publish(Event(self._wall(), kind, node.id, node.name, reason, by))
