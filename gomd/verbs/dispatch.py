"""Which node a request is for: this one, another one, or all of them."""

from __future__ import annotations

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Replying
from gomd.verbs.table import VerbTable
from libgomd.errors import PeerUnreachable
from libgomd.wire.lines import Request


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
        return self._elsewhere(session, request)

    def _elsewhere(self, session: ISession, request: Request) -> Replying:
        members = self.parts.members
        node = members.find(request.node)
        if node.id == members.own_id:
            return self.table.ask(self.parts, session, Request(request.verb, request.arguments))
        raise PeerUnreachable(f"node {node.id} cannot be asked: this daemon has no peers")
