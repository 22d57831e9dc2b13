"""Asks one node for a caller: this node itself, or another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gomd.interfaces import ForwardedReply
from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import File, Relayed, Reply
from gomd.verbs.rounds import Watcher
from libgomd.errors import NotAllowed, NotPossible
from libgomd.model import Node
from libgomd.wire.lines import Request
from libgomd.wire.text import lines_of
from libgomd.wire.tree import TreePath


class Asking:
    """
    Asks nodes.

    :param here: asks this node: ``(parts, session, request)``. :param role_of: gives the role of a verb.
    """

    def __init__(
        self, here: Callable[[Parts, ISession, Request], Any], role_of: Callable[[str], Any]
    ) -> None:
        self._here = here
        self._role_of = role_of

    async def ask(
        self, parts: Parts, session: ISession, node: Node, request: Request, is_passed_on: bool = False
    ) -> Reply:
        """
        Ask ``node``, which may be this one.

        :param is_passed_on: whether another node has passed the request on; this node's trust in other nodes
            then decides who its caller is here.
        """
        if node.id != parts.members.own_id:
            return await self.other(parts, session, node, request)
        if is_passed_on:
            caller = parts.trusted(request, self._role_of(request.verb), session.caller)
            session = session if caller is session.caller else Watcher(caller, session.json)
        replying = self._here(parts, session, request)
        reply: Reply = replying if isinstance(replying, Reply) else await replying
        return reply

    async def other(self, parts: Parts, session: ISession, node: Node, request: Request) -> Reply:
        """Ask another node: for a small file of its tree by datagram, for anything else by stream."""
        if request.verb == "get":
            path = str(TreePath.parse(request.arguments[0]))
            try:
                return File(path, lines_of(await parts.peers.read(node, path)))
            except (NotAllowed, NotPossible):
                pass  # not every caller may read it, or it is long: ask as this caller, over a stream
        code, text, rows = await parts.peers.ask(node, request, session.caller, session.json)
        return Relayed(code, text, rows, lasts=request.verb == "watch", needs_caller=request.verb == "do")

    async def through(self, parts: Parts, session: ISession, node: Node, request: Request) -> ForwardedReply:
        """Ask another node to ask a branch."""
        reply: ForwardedReply = await parts.peers.ask(node, request, session.caller, session.json)
        return reply
