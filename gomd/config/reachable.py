"""From where an endpoint can be reached."""

from __future__ import annotations

from libgomd.endpoints import Endpoint, Unix
from libgomd.wire.addresses import is_loopback


def on_this_machine(endpoint: Endpoint) -> bool:
    """
    Return whether only this machine can reach ``endpoint``.

    Names other than localhost count as reachable.
    """
    if isinstance(endpoint, Unix) or endpoint.host == "localhost":
        return True
    return is_loopback(endpoint.host)
