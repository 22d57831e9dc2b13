"""From where an endpoint can be reached."""

from __future__ import annotations

import ipaddress

from libgomd.endpoints import Endpoint, Unix


def on_this_machine(endpoint: Endpoint) -> bool:
    """
    Return whether only this machine can reach ``endpoint``.

    Names other than localhost count as reachable.
    """
    if isinstance(endpoint, Unix) or endpoint.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(endpoint.host).is_loopback
    except ValueError:
        return False
