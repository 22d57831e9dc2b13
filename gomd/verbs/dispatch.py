"""Which node a request is for: this one, another one, or all of them."""

from __future__ import annotations

from gomd.verbs.context import ISession, Parts
from gomd.verbs.everywhere import LIMIT, PATIENT_LIMIT, ask_everywhere
from gomd.verbs.replies import File, Relayed, Reply, Replying
from gomd.verbs.table import VerbTable
from libgomd.errors import NotAllowed, NotPossible
from libgomd.model import Node
from libgomd.wire.lines import Request
from libgomd.wire.text import lines_of
from libgomd.wire.tree import TreePath

#: The word after ``@`` for every node that is up.
ALL = "all"
#: Verbs about the conversation itself, which is with this node.
_HERE = ("attach", "auth", "format", "migration", "moved", "quit", "run")


class Dispatch:
    """Answers requests from the table of verbs, on the node they name."""

    def __init__(self, table: VerbTable, parts: Parts) -> None:
        self.parts = parts
        self.table = table

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
            return ask_everywhere(
                nodes, lambda node: self._ask_node(session, node, bare), session.json, self.parts.clock,
                PATIENT_LIMIT if verb.patient else LIMIT,
            )  # fmt: skip
        node = self.parts.members.find(request.node)
        if node.id == self.parts.members.own_id:
            return self.table.ask(self.parts, session, bare)
        return self._ask_other(session, node, bare)

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
