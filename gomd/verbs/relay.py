"""
The verb `relay`: asks this node and a branch of others for another daemon (`gomd.verbs.passing_on`).

Between daemons only. The caller is the one on whose behalf the other daemon asks, and each node of the branch
is asked on behalf of the same one; each applies its own checks, as it does when it is asked directly. This
node answers as what its own trust in other nodes makes of that caller.
"""

from __future__ import annotations

from typing import Final

from gomd.verbs import arguments as words
from gomd.verbs.branches import DO, RELAY, WATCH, is_relayed, parse_branch
from gomd.verbs.context import ISession, Parts
from gomd.verbs.forwarding import Asking
from gomd.verbs.quotas import Group, Quotas, ReleasingRows
from gomd.verbs.relay_gates import Gates
from gomd.verbs.replies import Relayed, Replying
from gomd.verbs.table import Verb
from libgomd.errors import MalformedRequest
from libgomd.model import Role
from libgomd.wire.lines import BLOCK

#: Largest number of requests at once that are relayed, of each group of callers and of one caller. Those of
#: readers over tcp count for the node that asks.
MAX_RELAYS: Final = {Group.READERS: 256, Group.USERS: 512, Group.ADMINS: 1024}
MAX_RELAYS_PER_CALLER: Final = {Group.READERS: 64, Group.USERS: 128, Group.ADMINS: 1024}


def make_relay(asking: Asking) -> Verb:
    """Return the verb. :param asking: asks this node and others."""
    places = Quotas("requests passed on for other nodes", MAX_RELAYS, MAX_RELAYS_PER_CALLER)
    gates = Gates()

    def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Replying:
        words.peer(session.caller)
        asked = parse_branch(arguments, parts.members.own_id)
        verb = asked.request.verb
        if not is_relayed(asked.request) or (verb == WATCH and not session.json):
            raise MalformedRequest(f"`{verb[:40]}` is not passed on so: ask each node itself")
        release = places.take(session.caller)
        if verb == WATCH:
            from gomd.verbs.relayed_watch import RelayedWatch  # most nodes are no relays, here and below

            rounds = ReleasingRows(RelayedWatch(parts, session, asked, asking).pieces(), release)
            return Relayed(BLOCK, f"watching {len(asked.nodes) + 1} nodes", rounds, lasts=True)
        if verb == DO:
            from gomd.verbs.relayed_commands import relayed_commands

            commands = relayed_commands(parts, session, asked, asking, gates.of(session))
            return Relayed(
                BLOCK,
                f"{len(asked.nodes) + 1} nodes run it",
                ReleasingRows(commands, release),
                needs_caller=True,
            )
        from gomd.verbs.passing_on import PassingOn

        passing = PassingOn(parts, session, asked, asking, gates.of(session))
        return Relayed(BLOCK, f"{len(asked.nodes) + 1} nodes asked", ReleasingRows(passing.pieces(), release))

    return Verb(
        RELAY, "DEPTH SECONDS NODES VERB ...", Role.READ,
        "ask this node and others, between daemons", answer, web="",
    )  # fmt: skip
