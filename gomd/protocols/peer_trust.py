"""
What a daemon of another node may do here on behalf of its callers: `[peers] admin_from_peers`.

A peer proves with the cluster's key which node it is; whom it speaks for is only its word. With
``admin_from_peers = no`` that word makes nobody an admin, root or a system user of this node. What daemons do
for themselves (letters about migrations, where a job is, the streams of a guest at its home) goes on.
"""

from __future__ import annotations

from typing import Final

from libgomd.errors import NotAllowed
from libgomd.model import Caller, Role, is_system_user
from libgomd.wire.lines import Request

#: What daemons say to each other for themselves; `attach` only for a guest, ``HOME-JOB``, at its home.
_BETWEEN_DAEMONS: Final = frozenset({"migration", "moved"})


class PeerTrust:
    """
    :ivar admins: whether another node's admins and system users are that here too; may be changed.
    """

    def __init__(self, admins: bool) -> None:
        self.admins = admins

    def caller_for(self, request: Request, role: Role, caller: Caller) -> Caller:
        """
        Return as whom ``request`` of a peer is answered, when it says that it speaks for ``caller``.

        :param role: what the verb of the request needs.
        :raises NotAllowed: such callers of other nodes may not ask for this here.
        """
        if self.admins or not (caller.role is Role.ADMIN or is_system_user(caller.uid)):
            return caller
        if request.verb in _BETWEEN_DAEMONS or _is_about_guest(request):
            return caller
        if role > Role.READ:
            who = f"user {caller.user or caller.uid}" if is_system_user(caller.uid) else "admins"
            raise NotAllowed(
                f"this node takes `{request.verb}` from no {who} of other nodes "
                "([peers] admin_from_peers = no): say it on this node itself"
            )
        return Caller(Role.READ, caller.user, None, caller.via)


def _is_about_guest(request: Request) -> bool:
    return request.verb == "attach" and bool(request.arguments) and "-" in request.arguments[0]
