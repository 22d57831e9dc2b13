"""Who may be a member: anybody with the key, or only the nodes of a map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zope.interface import Attribute, Interface, implementer

from libgomd.model import Node, Status


class IAdmission(Interface):
    """Decides about members."""

    fixed = Attribute("bool: whether the members are listed beforehand, and none is ever forgotten")

    def refusal(node: int, host: str) -> str:
        """Why node ``node`` at ``host`` may not be a member, a sentence; empty when it may."""

    def nodes() -> Iterable[Node]:
        """Those that are members before they were heard, this one perhaps among them; none are up."""


@implementer(IAdmission)
class Anyone:
    """Whoever has the cluster's key."""

    fixed = False

    def refusal(self, node: int, host: str) -> str:
        """See `IAdmission.refusal`."""
        return ""

    def nodes(self) -> Iterable[Node]:
        """See `IAdmission.nodes`."""
        return ()


@implementer(IAdmission)
class MapAdmission:
    """
    The nodes of a map, each at its own addresses.

    :param names: the name, until its daemon says another one, of each node.
    :param addresses: the addresses of each node, the one to reach it at first.
    """

    fixed = True

    def __init__(self, names: Mapping[int, str], addresses: Mapping[int, tuple[str, ...]]) -> None:
        self._names = names
        self._addresses = addresses

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
            yield Node(node, self._names.get(node, addresses[0]), addresses[0], Status.CONFIGURED)
