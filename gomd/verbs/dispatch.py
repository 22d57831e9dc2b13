"""Sends each request where it belongs: to this node, to another one, or to all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final

from gomd.verbs.branches import DO, MAX_ID, RELAYED, SEVERAL, ids_in
from gomd.verbs.context import ISession, Parts
from gomd.verbs.fan_out import NODE_TIMEOUT, PATIENT_NODE_TIMEOUT, ask_everywhere
from gomd.verbs.forwarding import Asking
from gomd.verbs.kept_shares import KeptShares
from gomd.verbs.memory import knows_nothing, node_of, of_those_who_know
from gomd.verbs.quotas import Group, Quotas, ReleasingRows
from gomd.verbs.relay_gates import Gates
from gomd.verbs.replies import Relayed, Reply, Replying
from gomd.verbs.table import Verb, VerbTable
from libgomd.errors import NotFound, NotPossible, PeerUnreachable, TimedOut
from libgomd.model import Counter, Node
from libgomd.wire.lines import BLOCK, Request
from libgomd.wire.process_identity import ProcessIdentity

#: The word behind ``@`` that means every node that is up.
ALL_NODES = "all"
#: Verbs about the connection itself, which cannot be sent to another node.
_LOCAL_VERBS = (
    "attach", "auth", "carry", "collect", "format", "migration", "moved", "page", "quit", "relay", "run",
)  # fmt: skip
#: Verbs that act on the process that they name, by PID or by identity.
_OF_ONE_PROCESS: Final = ("signal", "renice", "migrate", "lock", "unlock")

#: Largest number of requests to other nodes at once, of each group and of one caller. `@all` counts as one.
MAX_FORWARDS: Final = {Group.READERS: 256, Group.USERS: 512, Group.ADMINS: 1024}
MAX_FORWARDS_PER_CALLER: Final = {Group.READERS: 64, Group.USERS: 128, Group.ADMINS: 1024}


class Dispatch:
    """Answers each request on the node that it names."""

    def __init__(self, table: VerbTable, parts: Parts) -> None:
        self.parts = parts
        self.table = table
        self._forwards = Quotas("requests to other nodes", MAX_FORWARDS, MAX_FORWARDS_PER_CALLER)
        self._gates = Gates()
        self._shares = KeptShares()
        self._asking = Asking(self._here, lambda name: table.find(name).role)

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
            release = self._forwards.take(session.caller)
            return _releasing(self._everywhere(session, verb, bare), release)
        try:
            node = self.parts.members.find(request.node)
        except NotFound:
            if verb.name == DO and SEVERAL.fullmatch(request.node):
                return self._run_on(session, request.node, bare)
            if verb.remembered is None or not bare.arguments:
                raise
            return self._only_remembered(session, request.node, verb, bare)
        if node.id == self.parts.members.own_id or self._names_own_process(verb, bare):
            return self.table.ask(self.parts, session, bare)
        return self._forward(session, node, verb, bare)

    def _names_own_process(self, verb: Verb, request: Request) -> bool:
        """
        Return whether the request names a process of this home by its identity.

        This node knows where such a process runs. Any other one takes a question from here for that of a home
        that has found its process gone, and says that it has ended.
        """
        if verb.name not in _OF_ONE_PROCESS or not request.arguments:
            return False
        identity = ProcessIdentity.find(request.arguments[0])
        return identity is not None and identity.home == self.parts.members.own_id

    def _everywhere(self, session: ISession, verb: Verb, request: Request) -> Relayed:
        """Ask every node that is up, and beyond `Parts.fan_out` nodes most of them through others."""
        parts, asking, gates = self.parts, self._asking, self._gates.of(session)
        nodes = parts.members.nodes()

        def ask(node: Node) -> Awaitable[Reply]:
            return asking.ask(parts, session, node, request)

        if verb.name in RELAYED and sum(node.up for node in nodes) > 1:
            from gomd.verbs.tree_fan_out import Ways  # many daemons are never asked this
            from gomd.verbs.tree_order import ask_tree

            ways = Ways(
                parts.clock, parts.members.own_id, parts.fan_out, ask,
                lambda node, asked: asking.through(parts, session, node, asked), parts.intermediates, gates,
            )  # fmt: skip
            return ask_tree(nodes, ways, request, session.json, self._shares.of(session))
        limit = PATIENT_NODE_TIMEOUT if verb.patient else NODE_TIMEOUT
        return ask_everywhere(nodes, ask, session.json, parts.clock, limit, gates[0])

    def _run_on(self, session: ISession, ids: str, request: Request) -> Reply:
        """Run a command on several nodes, and beyond `Parts.fan_out` of them on most through others."""
        parts = self.parts
        known = {node.id: node for node in parts.members.nodes()}
        wanted = ids_in(ids, 0, MAX_ID)
        if unknown := [each for each in wanted if each not in known]:
            raise NotFound(f"there is no node {unknown[0]}: `nodes` lists those that there are")
        from gomd.verbs.relayed_commands import commands_on  # few nodes are ever asked for that

        release = self._forwards.take(session.caller)
        lines = commands_on(
            parts, session, [known[each] for each in wanted], request, self._asking, self._gates.of(session)
        )
        running = Relayed(
            BLOCK, f"{request.arguments[0]} runs on {len(wanted)} nodes", lines, needs_caller=True
        )
        return _releasing(running, release)

    def _here(self, parts: Parts, session: ISession, request: Request) -> Replying:
        return self.table.ask(parts, session, request)

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

        What is about the past is answered from memory when that node cannot be reached, or remembers nothing
        of that time itself.
        """
        release = self._forwards.take(session.caller)
        try:
            try:
                reply = await self._asking.other(self.parts, session, node, request)
            except (PeerUnreachable, TimedOut):
                if verb.remembered is None:
                    raise
                answer = await verb.remembered(self.parts, session, node, request.arguments)
                if answer is None:
                    raise
                reply = answer
            else:
                if verb.remembered is not None and knows_nothing(reply):
                    remembered = verb.remembered(self.parts, session, node, request.arguments)
                    reply = await of_those_who_know(reply, remembered)
        except BaseException:
            release()
            raise
        return _releasing(reply, release)

    def counters(self) -> Iterable[Counter]:
        """Return requests to other nodes, by group of callers."""
        for group in Group:
            name = f"forwards_of_{group.value}"
            yield Counter(name, self._forwards.used(group), f"requests of {group.value} to other nodes now")
        relays = self.parts.intermediates
        yield Counter("relays_failed", relays.failed, "nodes that did not ask their branch as they should")
        yield Counter("relays_too_old", relays.too_old, "nodes whose version asks no branch for others")
        yield Counter("forwards_refused", self._forwards.refused, "requests to other nodes refused")


def _releasing(reply: Reply, release: Callable[[], None]) -> Reply:
    """Return ``reply``; ``release`` is called after its end."""
    if not isinstance(reply, Relayed) or reply.pieces is None:
        release()
        return reply
    return replace(reply, pieces=ReleasingRows(reply.pieces, release))
