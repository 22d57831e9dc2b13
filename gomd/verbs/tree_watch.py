"""
Watches many nodes, most of them through others, and gives each node's rounds to whoever follows that node.

Theory of operation. A `TreeFollower` stands between the feeds of a merged watch (gomd.verbs.node_feeds), of
which each follows one node, and the streams. Up to `fan_out` nodes have a stream each. Beyond that, nodes
that are to be followed at the same time are divided into branches; one node of each is the relay, and one
stream to it brings the rounds of all of them. A node is followed in one way at a time: in a branch or
directly. A relay joins the rounds that it has at a time; one that refuses to, because its version does not
know how, is asked again for each by itself. When a relay fails, is silent for `SILENCE_TIMEOUT` or sends
rounds of nodes that it was not asked for, its nodes are divided anew without a word to the feeds, which keep
the rounds that they have. A node of which a relay has nothing, or whose rounds from it are refused, is
followed directly for `DIRECT_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.verbs.branch_rounds import BranchCutter
from gomd.verbs.branches import MAX_SECONDS, BranchRequest, divide
from gomd.verbs.followed_nodes import AwaitedNode, Branch, FollowedNode
from gomd.verbs.intermediates import Intermediates
from gomd.verbs.node_feeds import Take, about
from gomd.verbs.node_rounds import NodeRound, RoundCutter, whole_round
from gomd.verbs.tree_fan_out import SILENCE_TIMEOUT
from libgomd.deadlines import Silence
from libgomd.errors import GomdError, MalformedReply, MalformedRequest, NotPossible, TimedOut
from libgomd.model import Node
from libgomd.wire.lines import Request

#: Seconds for which a node is followed directly after it could not be followed through another one.
DIRECT_SECONDS: Final = 60.0

#: Watches a node by a stream of its own, otherwise as `gomd.verbs.node_feeds.Follow`.
FollowDirectly = Callable[[Node, Callable[[], None], Callable[[bytes], None]], Awaitable[None]]
#: Watches a node as a relay: ``(node, request, opened, take)``, otherwise as `gomd.verbs.node_feeds.Follow`.
FollowThrough = Callable[[Node, Request, Callable[[], None], Callable[[bytes], None]], Awaitable[None]]


class TreeFollower:
    """
    Follows nodes for one watch.

    :param depth: how often nodes may be divided. :param request: the watch that each node is asked.
    :param direct: follows one node. :param through: follows a relay.
    :param is_large: whether there are more nodes than `fan_out`; until then they are followed directly.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        own: int,
        fan_out: int,
        depth: int,
        request: Request,
        direct: FollowDirectly,
        through: FollowThrough,
        intermediates: Intermediates,
        is_large: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._own = own
        self._fan_out = fan_out
        self._depth = depth
        self._request = request
        self._direct = direct
        self._through = through
        self._intermediates = intermediates
        self._is_large = is_large
        self._connecting = DeferredSemaphore(fan_out)
        self._branches: set[Branch] = set()
        self._singles: set[FollowedNode] = set()
        self._joining: dict[FollowedNode, None] = {}
        self._direct_until: dict[int, float] = {}

    async def follow(self, node: Node, opened: Callable[[], None], take: Take) -> None:
        """Follow a node, as `gomd.verbs.node_feeds.Follow`; in a large cluster ``take`` gets rounds."""
        if not self._is_large() or self._depth < 1:
            await self._direct(node, opened, take)
            return
        member = AwaitedNode(node, opened, take)
        self.begin(member)
        try:
            await member.ended
        finally:
            self.end(member)

    def begin(self, member: FollowedNode) -> None:
        """Follow a node of a large cluster until `end`, or until its `FollowedNode.failed` is called."""
        if self._direct_until.get(member.node.id, 0.0) > self._clock.seconds():
            self._follow_directly(member)
        else:
            self._join(member)

    def end(self, member: FollowedNode) -> None:
        """Follow a node no more."""
        if member.branch is not None:  # its rounds, or their absence, were not good enough
            self._direct_until[member.node.id] = self._clock.seconds() + DIRECT_SECONDS
        self._drop(member)

    def _drop(self, member: FollowedNode) -> None:
        """Follow a node no more, in whatever way it is followed."""
        self._joining.pop(member, None)
        branch, member.branch = member.branch, None
        if branch is not None:
            branch.left.pop(member.node.id, None)
            if not branch.left and branch.task is not None:
                self._clock.callLater(0, branch.task.cancel)
        task, member.task, member.single = member.task, None, None
        self._singles.discard(member)
        if task is not None:  # it may be what has brought us here
            self._clock.callLater(0, task.cancel)

    # -- who is followed how

    def _join(self, member: FollowedNode) -> None:
        """Follow a node together with all that are to be followed in this turn of the reactor."""
        if not self._joining:
            self._clock.callLater(0, self._plan)
        self._joining[member] = None

    def _plan(self) -> None:
        joining, self._joining = list(self._joining), {}
        if not joining:
            return
        if len(self._branches) + len(self._singles) + len(joining) > self._fan_out:
            joining += self._movable()
            places = max(1, self._fan_out - len(self._branches) - len(self._singles))
            joining.sort(key=lambda member: member.node.id)
            for part in divide(joining, places):
                self._follow_part(part)
            return
        for member in joining:
            self._follow_directly(member)

    def _movable(self) -> list[FollowedNode]:
        """Stop following nodes that are followed directly without need, or all if there are many branches."""
        now = self._clock.seconds()
        found = [each for each in self._singles if self._direct_until.get(each.node.id, 0.0) <= now]
        if len(self._branches) >= 2 * self._fan_out:
            found += [each for branch in self._branches for each in branch.left.values()]
        for member in found:
            self._drop(member)
        return found

    def _follow_part(self, members: Sequence[FollowedNode]) -> None:
        now = self._clock.seconds()
        nodes = [member.node for member in members]
        relay = self._intermediates.choose(nodes, self._own, now) if len(members) > 1 else None
        if relay is None:
            for member in members:
                self._follow_directly(member)
            return
        self._begin(relay, members)

    def _begin(self, relay: Node, members: Iterable[FollowedNode]) -> None:
        """Follow ``members``, the relay among them, through the relay."""
        branch = Branch(relay, members, self._intermediates.joins(relay.id, self._clock.seconds()))
        for member in branch.left.values():
            member.branch = branch
        self._branches.add(branch)
        task = Deferred.fromCoroutine(self._follow_branch(branch))
        branch.task = task
        task.addErrback(lambda failure: failure.trap(CancelledError))

    # -- directly

    def _follow_directly(self, member: FollowedNode) -> None:
        self._singles.add(member)
        member.single = single = object()
        task = Deferred.fromCoroutine(self._follow_single(member, single))
        if member.single is single:
            member.task = task
        task.addErrback(lambda failure: failure.trap(CancelledError))

    async def _follow_single(self, member: FollowedNode, single: object) -> None:
        node, cutter, held = member.node, RoundCutter(), False
        error: BaseException

        def opened() -> None:
            nonlocal held
            if held:
                held = False
                self._connecting.release()
            member.opened()

        def take(data: bytes) -> None:
            try:
                for each in cutter.feed(data):
                    if member.single is single:
                        member.take(each)
            except (MalformedReply, NotPossible, TimedOut) as error:
                told = str(error)
                about = "" if told.startswith(f"node {node.id} ") else f"node {node.id} {node.name}: "
                raise type(error)(f"{about}{told}") from error

        await self._connecting.acquire()
        held = True
        try:
            await self._direct(node, opened, take)
            error = TimedOut(f"node {node.id} {node.name} has ended the watch: it is asked again")
        except CancelledError:
            raise
        except Exception as failed:  # noqa: BLE001 - the feed tells it, whatever it is
            error = failed
        finally:
            if held:
                held = False
                self._connecting.release()
        if member.single is single:
            self._singles.discard(member)
            member.single = member.task = None
            member.failed(error)

    # -- through a relay

    async def _follow_branch(self, branch: Branch) -> None:
        """Follow a branch until its relay fails, and follow its nodes otherwise then. Raises no GomdError."""
        relay, cutter = branch.relay, BranchCutter()
        silence = Silence(self._clock, SILENCE_TIMEOUT)

        def opened() -> None:
            silence.heard()
            for member in tuple(branch.left.values()):
                member.opened()

        def take(data: bytes) -> None:
            silence.heard()
            for node, rows, _why in cutter.feed(data):
                if node not in branch.asked:
                    raise MalformedReply(f"it sends rounds of node {node}, about which it was not asked")
                member = branch.left.get(node)
                if member is None:
                    continue
                if isinstance(rows, NodeRound):
                    member.take(rows)
                else:
                    self._take(member, rows)

        asked = BranchRequest(
            self._depth - 1, MAX_SECONDS, tuple(sorted(branch.asked - {relay.id})), self._request,
            branch.joined,
        ).as_request()  # fmt: skip
        reading: Deferred[None] = Deferred.fromCoroutine(_whole(self._through(relay, asked, opened, take)))
        silence.guard(reading)
        error: GomdError
        try:
            await reading
            error = TimedOut("it has ended the watch")
        except CancelledError:
            if not silence.is_too_long:
                raise
            error = TimedOut(f"it has said nothing for {silence.limit:g} s")
        except GomdError as failed:
            error = failed
        finally:
            silence.stop()
            self._branches.discard(branch)
        self._give_up(branch, error)

    def _take(self, member: FollowedNode, rows: bytes | None) -> None:
        if rows is None:
            self._direct_until[member.node.id] = self._clock.seconds() + DIRECT_SECONDS
            self._drop(member)
            self._follow_directly(member)
            return
        try:
            member.take(whole_round(rows))
        except (MalformedReply, NotPossible) as error:
            self.end(member)
            member.failed(about(member.node, error))

    def _give_up(self, branch: Branch, error: GomdError) -> None:
        relay, now = branch.relay, self._clock.seconds()
        branch.task = None
        if isinstance(error, MalformedRequest) and branch.joined:
            self._intermediates.note_not_joining(relay.id, now)
            members = tuple(branch.left.values())
            for member in members:
                self._drop(member)
            if members:
                self._begin(relay, members)
            return
        log = self._log.warn if isinstance(error, MalformedReply) else self._log.info
        log(
            "node {node} {name} watches no branch for this one any more, which is watched otherwise: {error}",
            node=relay.id, name=relay.name, error=str(error),
        )  # fmt: skip
        if isinstance(error, MalformedRequest):
            self._intermediates.note_too_old(relay.id, now)
        else:
            self._intermediates.note_failure(relay.id, now)
        for member in tuple(branch.left.values()):
            self._drop(member)
            if member.node.id == relay.id:
                self._direct_until[relay.id] = now + DIRECT_SECONDS
                self._follow_directly(member)
            else:
                self._join(member)


async def _whole(following: Awaitable[None]) -> None:
    await following
