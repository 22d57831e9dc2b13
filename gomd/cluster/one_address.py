"""Where an engine listens that has one address only, swim and serf, and what it tells the others."""

from __future__ import annotations

from libgomd.wire.addresses import is_ipv6


def bind_address(setting: str, told: str) -> str:
    """
    Return the address at which to listen.

    :param setting: the first one of `[peers] address`. :param told: the address of this node that others are
        told: another one when the setting means all addresses, or when the node has none of its family.
    """
    if told == setting:
        return setting
    return "::" if is_ipv6(told) else "0.0.0.0"
