"""Admission: which nodes may be members. Either every node with the cluster key, or only those of a map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zope.interface import Attribute, Interface, implementer

from gomd.cluster.membership.member import Member
from libgomd.model import Node, Status
from libgomd.wire.addresses import is_ipv6


class IAdmission(Interface):
    """Decides which nodes may be members."""

    fixed = Attribute(
        "bool: whether the list of members is fixed, so that a node that is down is never removed"
    )

    def refusal(node: int, host: str) -> str:
        """Return the reason why ``node`` at ``host`` may not be a member, a sentence; empty when it may."""

    def nodes() -> Iterable[Node]:
        """Return the nodes that are listed before anything is heard from them; none of them is up."""

    def port_of(node: int) -> int:
        """Return the port at which a node is looked for before it is heard, 0 for that of this node."""


@implementer(IAdmission)
class Anyone:
    """Admits every node that has the cluster key."""

    fixed = False

    def refusal(self, node: int, host: str) -> str:
        """See `IAdmission.refusal`."""
        return ""

    def nodes(self) -> Iterable[Node]:
        """See `IAdmission.nodes`."""
        return ()

    def port_of(self, node: int) -> int:
        """See `IAdmission.port_of`."""
        return 0


@implementer(IAdmission)
class MapAdmission:
    """
    Admits the nodes of a map, each only from its own addresses.

    :param names: the name of each node, used until its daemon announces another one.
    :param addresses: the addresses of each node. The first one of a family is used to contact it.
    :param ports: the ports of nodes that have another one than this node.
    """

    fixed = True

    def __init__(
        self,
        names: Mapping[int, str],
        addresses: Mapping[int, tuple[str, ...]],
        ports: Mapping[int, int] | None = None,
    ) -> None:
        self._names = names
        self._addresses = addresses
        self._ports = ports or {}

    def refusal(self, node: int, host: str) -> str:
        """See `IAdmission.refusal`."""
        known = self._addresses.get(node)
        if known is None:
            return f"node {node} at {host} is not in the map"
        if host not in known:
            return f"node {node} came from {host}, the map has it at {', '.join(known)}"
        return ""

    def nodes(self) -> Iterable[Node]:
        """See `IAdmission.nodes`."""
        for node, addresses in self._addresses.items():
            families = {is_ipv6(each): each for each in reversed(addresses)}
            both = tuple(families[each] for each in sorted(families)) if len(families) > 1 else ()
            name = self._names.get(node, addresses[0])
            yield Node(node, name, (both or addresses)[0], Status.CONFIGURED, addresses=both)

    def port_of(self, node: int) -> int:
        """See `IAdmission.port_of`."""
        return self._ports.get(node, 0)


def listed_members(
    admission: IAdmission, own_id: int, families: frozenset[bool], port: int, now: float
) -> list[Member]:
    """
    Return the nodes that are listed before anything is heard from them, as members that are down.

    :param own_id: of this node, which is none of them. :param families: those in which this node has an
        address, True for IPv6: a member is contacted in these if it can be.
    :param port: UDP port of those that are listed without one of their own.
    :param now: as `SteadyClock.now`.
    """
    found = []
    for node in admission.nodes():
        if node.id != own_id:
            hosts = [each for each in node.addresses or (node.address,) if is_ipv6(each) in families]
            at = admission.port_of(node.id) or port
            member = Member(node.id, node.name, ((hosts or [node.address])[0], at), now)
            if len(hosts) > 1:
                member.second = (hosts[1], at)
            found.append(member)
    return found
