"""The IPv4 address of this node, and its id: from the address as in openMosix, or from the machine id."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Final

from libgomd.errors import ConfigError
from libgomd.model import MAX_NODE_ID

#: An address reserved for documentation. The route to it is the default route; nothing is sent there.
_DOCUMENTATION_ADDRESS: Final = ("192.0.2.1", 9)
#: Where the machine id is: 32 hexadecimal digits that stay when everything else of a machine changes.
MACHINE_ID_FILES: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_MACHINE_ID: Final = re.compile(r"[0-9a-f]{32}")
#: What the machine id is hashed with: programs must not show the id itself (machine-id(5)).
_PURPOSE: Final = b"gomd node id\0"


def primary_address() -> str:
    """
    Return the IPv4 address that this machine uses towards others, 127.0.0.1 if it has none.

    This only consults the routing table; no packet is sent.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_DOCUMENTATION_ADDRESS)
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def id_of(address: str) -> int:
    """
    Return the low 16 bits of an IPv4 address, which number nodes in openMosix: 192.168.10.220 is 2780.

    :raises ConfigError: they are 0, which is not a node id.
    """
    number = int(ipaddress.IPv4Address(address)) & MAX_NODE_ID
    if not number:
        raise ConfigError(
            [f"the address {address} gives no node id: set [node] id to one of 1 to {MAX_NODE_ID}"]
        )
    return number


def id_of_machine(machine_id: str) -> int:
    """
    Return the number of a node without an IPv4 address: 1 to 65535, always the same for one machine id.

    It is 1 + (the first 8 bytes of SHA-256 of ``gomd node id``, a zero byte and the id, as one number, modulo
    65535). Of 100 machines two have the same number in one cluster of 14; [node] id gives one of them
    another.
    """
    digest = hashlib.sha256(_PURPOSE + machine_id.encode("ascii")).digest()
    return 1 + int.from_bytes(digest[:8], "big") % MAX_NODE_ID


def read_machine_id(files: Sequence[str] = MACHINE_ID_FILES) -> str:
    """
    Return the machine id. Blocks briefly.

    :raises ConfigError: this machine has none; the sentence says what to do.
    """
    for path in files:
        with contextlib.suppress(OSError, UnicodeDecodeError), open(path, encoding="ascii") as file:
            text = file.read(64).strip()
            if _MACHINE_ID.fullmatch(text) and text.strip("0"):  # zeros are none (machine-id(5))
                return text
    raise ConfigError(
        [
            f"this node has no IPv4 address, and no machine id in {files[0]} to take its number from: set "
            f"[node] id to one of 1 to {MAX_NODE_ID}, or make the id with `systemd-machine-id-setup`"
        ]
    )
