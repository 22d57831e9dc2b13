"""Sends each request where it belongs: to this node, to another one, or to all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from twisted.internet.defer import DeferredSemaphore

from gomd.verbs.context import ISession, Parts
from gomd.verbs.fan_out import NODE_TIMEOUT, PATIENT_NODE_TIMEOUT, ask_everywhere
from gomd.verbs.memory import node_of
from gomd.verbs.quotas import Group, Quotas, ReleasingRows, group_of
from gomd.verbs.replies import File, Relayed, Reply, Replying
from gomd.verbs.table import Verb, VerbTable
from libgomd.errors import NotAllowed, NotFound, NotPossible, PeerUnreachable, TimedOut
from libgomd.model import Counter, Node
from libgomd.wire.lines import Request
from libgomd.wire.text import lines_of
from libgomd.wire.tree import TreePath

#: The word behind ``@`` that means every node that is up.
ALL_NODES = "all"
#: Verbs about the connection itself, which cannot be sent to another node.
_LOCAL_VERBS = (
    "attach", "auth", "carry", "collect", "format", "migration", "moved", "page", "quit", "run",
)  # fmt: skip

#: Largest number of requests to other nodes at once, of each group and of one caller. `@all` counts as one.
MAX_FORWARDS: Final = {Group.READERS: 256, Group.USERS: 512, Group.ADMINS: 1024}
MAX_FORWARDS_PER_CALLER: Final = {Group.READERS: 64, Group.USERS: 128, Group.ADMINS: 1024}
#: Largest number of nodes that all `@all` requests of a group ask at once; each takes a connection.
MAX_NODES_ASKED: Final = {Group.READERS: 128, Group.USERS: 256, Group.ADMINS: 512}


class Dispatch:
    """Answers each request on the node that it names."""

    def __init__(self, table: VerbTable, parts: Parts) -> None:
        self.parts = parts
        self.table = table
        self._forwards = Quotas("requests to other nodes", MAX_FORWARDS, MAX_FORWARDS_PER_CALLER)
        self._node_limits = {group: DeferredSemaphore(most) for group, most in MAX_NODES_ASKED.items()}

    def ask(self, session: ISession, request: Request) -> Replying:
        """
        Answer ``request`` for the caller of ``session``.

        :raises RequestError: the request is wrong, or this caller may not send it.
        :raises NodeError: the node that it names cannot answer.
        """
        if not request.node:
            return self.table.ask(self.parts, session, request)
        verb = self.table.check(session, request)
        bare = Request(request.verb, request.arguments)
        if verb.name in _LOCAL_VERBS:
            raise NotPossible(f"`{verb.name}` concerns your connection to this node: send it without @")
        if request.node == ALL_NODES:
            if verb.name == "watch":
                return self.table.ask(
                    self.parts, session, Request("watch", (f"@{ALL_NODES}", *request.arguments))
                )
            if verb.name == "do":
                raise NotPossible("a command runs on one node at a time: say `@NODE do NAME` for each")
            nodes = self.parts.members.nodes()
            release = self._forwards.take(session.caller)
            everywhere = ask_everywhere(
                nodes, lambda node: self._ask_node(session, node, bare), session.json, self.parts.clock,
                PATIENT_NODE_TIMEOUT if verb.patient else NODE_TIMEOUT,
                self._node_limits[group_of(session.caller)],
            )  # fmt: skip
            return _releasing(everywhere, release)
        try:
            node = self.parts.members.find(request.node)
        except NotFound:
            if verb.remembered is None or not bare.arguments:
                raise
            return self._only_remembered(session, request.node, verb, bare)
        if node.id == self.parts.members.own_id:
            return self.table.ask(self.parts, session, bare)
        return self._forward(session, node, verb, bare)

    async def _only_remembered(self, session: ISession, key: str, verb: Verb, request: Request) -> Reply:
        """Answer for a node that is no member any more. :raises NotFound: it is not remembered either."""
        assert verb.remembered is not None
        node = await node_of(self.parts, session.caller, key)
        answer = await verb.remembered(self.parts, session, node, request.arguments)
        if answer is None:
            raise NotFound(f"there is no node {key[:40]} now: ask about the past with --at")
        return answer

    async def _forward(self, session: ISession, node: Node, verb: Verb, request: Request) -> Reply:
        """
        Ask another node; the request counts for the caller's quota until its answer is complete.

        What is about the past is answered from memory when that node cannot be reached.
        """
        release = self._forwards.take(session.caller)
        try:
            try:
                reply = await self._ask_other(session, node, request)
            except (PeerUnreachable, TimedOut):
                if verb.remembered is None:
                    raise
                answer = await verb.remembered(self.parts, session, node, request.arguments)
                if answer is None:
                    raise
                reply = answer
        except BaseException:
            release()
            raise
        return _releasing(reply, release)

    async def _ask_node(self, session: ISession, node: Node, request: Request) -> Reply:
        if node.id != self.parts.members.own_id:
            return await self._ask_other(session, node, request)
        reply = self.table.ask(self.parts, session, request)
        return reply if isinstance(reply, Reply) else await reply

    async def _ask_other(self, session: ISession, node: Node, request: Request) -> Reply:
        """Ask another node: for a small file of its tree by datagram, for anything else by stream."""
        if request.verb == "get":
            path = str(TreePath.parse(request.arguments[0]))
            try:
                return File(path, lines_of(await self.parts.peers.read(node, path)))
            except (NotAllowed, NotPossible):
                pass  # not every caller may read it, or it is long: ask as this caller, over a stream
        code, text, rows = await self.parts.peers.ask(node, request, session.caller, session.json)
        return Relayed(code, text, rows, lasts=request.verb == "watch", needs_caller=request.verb == "do")

    def counters(self) -> Iterable[Counter]:
        """Return requests to other nodes, by group of callers."""
        for group in Group:
            name = f"forwards_of_{group.value}"
            yield Counter(name, self._forwards.used(group), f"requests of {group.value} to other nodes now")
        yield Counter("forwards_refused", self._forwards.refused, "requests to other nodes refused")


def _releasing(reply: Reply, release: Callable[[], None]) -> Reply:
    """Return ``reply``; ``release`` is called after its end."""
    if not isinstance(reply, Relayed) or reply.pieces is None:
        release()
        return reply
    return replace(reply, pieces=ReleasingRows(reply.pieces, release))
