"""Which node a request is for: this one, another one, or all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from twisted.internet.defer import DeferredSemaphore

from gomd.verbs.context import ISession, Parts
from gomd.verbs.fan_out import LIMIT, PATIENT_LIMIT, ask_everywhere
from gomd.verbs.quotas import Group, Held, Quotas, group_of
from gomd.verbs.replies import File, Relayed, Reply, Replying
from gomd.verbs.table import VerbTable
from libgomd.errors import NotAllowed, NotPossible
from libgomd.model import Counter, Node
from libgomd.wire.lines import Request
from libgomd.wire.text import lines_of
from libgomd.wire.tree import TreePath

#: The word after ``@`` for every node that is up.
ALL = "all"
#: Verbs about the conversation itself, which is with this node.
_HERE = ("attach", "auth", "format", "migration", "moved", "quit", "run")


#: Requests to other nodes that are under way at once, of each group and of one caller. `@all` is one of them.
MOST_FORWARDS: Final = {Group.READERS: 256, Group.USERS: 512, Group.ADMINS: 1024}
MOST_OF_ONE: Final = {Group.READERS: 64, Group.USERS: 128, Group.ADMINS: 1024}
#: Nodes that are asked at once for all the `@all` of a group; each takes a connection.
ASKED_AT_ONCE: Final = {Group.READERS: 128, Group.USERS: 256, Group.ADMINS: 512}


class Dispatch:
    """Answers requests from the table of verbs, on the node they name."""

    def __init__(self, table: VerbTable, parts: Parts) -> None:
        self.parts = parts
        self.table = table
        self._forwards = Quotas("requests to other nodes", MOST_FORWARDS, MOST_OF_ONE)
        self._gates = {group: DeferredSemaphore(most) for group, most in ASKED_AT_ONCE.items()}

    def ask(self, session: ISession, request: Request) -> Replying:
        """
        Answer ``request`` for the caller of ``session``.

        :raises RequestError: the request is wrong, or this caller may not.
        :raises NodeError: the node asked for cannot answer.
        """
        if not request.node:
            return self.table.ask(self.parts, session, request)
        verb = self.table.check(session, request)
        bare = Request(request.verb, request.arguments)
        if verb.name in _HERE:
            raise NotPossible(f"`{verb.name}` is between you and this node: say it without @")
        if request.node == ALL:
            if verb.name in ("watch", "do"):
                raise NotPossible(f"`{verb.name}` goes to one node: @NODE {verb.name} ...")
            nodes = self.parts.members.nodes()
            give_back = self._forwards.take(session.caller)
            everywhere = ask_everywhere(
                nodes, lambda node: self._ask_node(session, node, bare), session.json, self.parts.clock,
                PATIENT_LIMIT if verb.patient else LIMIT, self._gates[group_of(session.caller)],
            )  # fmt: skip
            return _with_place(everywhere, give_back)
        node = self.parts.members.find(request.node)
        if node.id == self.parts.members.own_id:
            return self.table.ask(self.parts, session, bare)
        return self._in_its_place(session, node, bare)

    async def _in_its_place(self, session: ISession, node: Node, request: Request) -> Reply:
        """Ask another node, in a place that is given back when the answer is complete."""
        give_back = self._forwards.take(session.caller)
        try:
            reply = await self._ask_other(session, node, request)
        except BaseException:
            give_back()
            raise
        return _with_place(reply, give_back)

    async def _ask_node(self, session: ISession, node: Node, request: Request) -> Reply:
        if node.id != self.parts.members.own_id:
            return await self._ask_other(session, node, request)
        reply = self.table.ask(self.parts, session, request)
        return reply if isinstance(reply, Reply) else await reply

    async def _ask_other(self, session: ISession, node: Node, request: Request) -> Reply:
        """Ask another node: a file of its tree by datagram where it fits into one, all else by stream."""
        if request.verb == "get":
            path = str(TreePath.parse(request.arguments[0]))
            try:
                return File(path, lines_of(await self.parts.peers.read(node, path)))
            except (NotAllowed, NotPossible):
                pass  # it is not for everybody, or it is long: ask as the caller, over a stream
        code, text, rows = await self.parts.peers.ask(node, request, session.caller, session.json)
        return Relayed(code, text, rows, lasts=request.verb == "watch", needs_caller=request.verb == "do")

    def counters(self) -> Iterable[Counter]:
        """Requests to other nodes, by whose they are."""
        for group in Group:
            name = f"forwards_of_{group.value}"
            yield Counter(name, self._forwards.held(group), f"requests of {group.value} to other nodes now")
        yield Counter("forwards_refused", self._forwards.refused, "requests to other nodes refused")


def _with_place(reply: Reply, give_back: Callable[[], None]) -> Reply:
    """Return ``reply``, with a place that is given back behind its end."""
    if not isinstance(reply, Relayed) or reply.pieces is None:
        give_back()
        return reply
    return replace(reply, pieces=Held(reply.pieces, give_back))
