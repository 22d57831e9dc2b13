"""
What a daemon of another node may do here on behalf of its callers: `[peers] admin_from_peers`.

The cluster's key proves which node a peer is. Which caller it acts for cannot be proved. With
``admin_from_peers = no`` a peer's claim makes no caller an admin, root or a system user of this node. What
daemons ask for themselves (migration messages, the location of a job, the streams of a guest at its home) is
still accepted. So is `relay`: the claim is passed on to the nodes of the branch as it came, since each of
them decides by its own setting, and for this node's own answer it is decided here for the relayed request.
"""

from __future__ import annotations

from typing import Final

from gomd.verbs.branches import RELAY
from libgomd.errors import NotAllowed
from libgomd.model import Caller, Role, is_system_user
from libgomd.wire.lines import Request

#: Verbs that daemons send for themselves. They also send `attach` and `carry` with ``HOME-JOB``.
DAEMON_VERBS: Final = frozenset({"migration", "moved"})


class PeerTrust:
    """
    :ivar admins: whether admins and system users of other nodes have the same rights here; may be changed.
    """

    def __init__(self, admins: bool) -> None:
        self.admins = admins

    def caller_for(self, request: Request, role: Role, caller: Caller) -> Caller:
        """
        Return the caller for which ``request`` of a peer is answered.

        :param role: that the verb requires. :param caller: that the peer claims to act for.
        :raises NotAllowed: such callers of other nodes may not ask for this here.
        """
        if self.admins or not (caller.role is Role.ADMIN or is_system_user(caller.uid)):
            return caller
        if request.verb in DAEMON_VERBS or request.verb == RELAY or _is_about_guest(request):
            return caller
        if role > Role.READ:
            who = f"user {caller.user or caller.uid}" if is_system_user(caller.uid) else "admins"
            raise NotAllowed(
                f"this node takes `{request.verb}` from no {who} of other nodes "
                "([peers] admin_from_peers = no): say it on this node itself"
            )
        return Caller(Role.READ, caller.user, None, caller.via)


def _is_about_guest(request: Request) -> bool:
    if request.verb == "carry":  # of a guest that is over, or moves to the node that asks
        return request.arguments[1:] in (("give",), ("drop",))
    return request.verb == "attach" and bool(request.arguments) and "-" in request.arguments[0]
