"""The verb `invitation`: tells `gom invite` what a new node must be told, and hears what happened."""

from __future__ import annotations

import ipaddress
from typing import Final

from twisted.logger import Logger

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Reply, ValueReply
from gomd.verbs.table import Verb
from libgomd.errors import GomdError, MalformedRequest, NotAllowed, NotPossible
from libgomd.model import STANDARD_SPEED, Event, EventKind, Role
from libgomd.node_names import is_node_name
from libgomd.wire.tree import TreePath

_log = Logger()
_YARDSTICK: Final = TreePath.parse("/proc/hpc/admin/sspeed")
#: What `gom invite` may tell: the line of the log, for `ended` the reason of the event too.
_TOLD: Final = {
    "open": "an invitation is open: a node that knows its code may get the cluster's key",
    "given": "the cluster's key was given to {name} ({address}), which knew the code of an invitation",
    "ended": "an invitation was ended after three wrong codes, the last of them from {address}",
}


async def invitation(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Answer with what a new node must be told, or publish an event about an invitation."""
    if session.caller.via != "unix":
        raise NotAllowed("`invitation` needs the unix socket, where the kernel tells who you are")
    told = dict(parts.introduction())
    own = parts.collector.own_node()
    if not arguments:
        if not told.get("key_file"):
            raise NotPossible(
                "this node is on its own, with a key that it made for itself: `gom init` configures a cluster"
            )
        agreed = told.get("agreed")
        alike = {**(agreed if isinstance(agreed, dict) else {}), **await _yardstick(parts, session)}
        return ValueReply(str(told["key_file"]), {**told, "name": own.name, "agreed": alike})
    what, name, address = (*arguments, "", "")[:3]
    if what not in _TOLD:
        raise MalformedRequest(f"an invitation is {', '.join(_TOLD)}")
    if (name and not is_node_name(name)) or (address and not _is_address(address)):
        raise MalformedRequest("invitation STATE NAME ADDRESS: a node's name and an IP address")
    reason = _TOLD[what].format(name=name, address=address)
    _log.warn("{reason}; said by {user}", reason=reason, user=session.caller.user or "an admin")
    if what == "ended":
        parts.events.publish(Event(parts.wall(), EventKind.SUSPECT, own.id, own.name, reason, own.id))
    return ValueReply(reason)


async def _yardstick(parts: Parts, session: ISession) -> dict[str, str]:
    """Return the yardstick, by which loads are compared, as a setting; empty for the usual one."""
    try:
        text = await parts.tree.read_file(_YARDSTICK, session.caller)
    except GomdError:
        return {}  # a source without one, or one that does not answer
    number = text.decode("ascii", "replace").strip()
    return {"node.sspeed": number} if number != str(STANDARD_SPEED) else {}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


VERBS = (
    Verb(
        "invitation",
        "[STATE] [NAME] [ADDRESS]",
        Role.ADMIN,
        "what a new node must be told; `gom invite` invites one",
        invitation,
        web="",
    ),
)
