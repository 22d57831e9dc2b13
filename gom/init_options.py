"""The command line of `gom init`: its help, what it says as a value, and the checks of each answer."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from libgomd.errors import MalformedRequest
from libgomd.node_names import ALLOWED, is_node_name
from libgomd.wire.addresses import is_ipv6, is_link_local, is_one_host, parse_host, shown, split, zone_of

USAGE: Final = """\
usage: gom init [--name NAME] [--address ADDRESS] [--node-id N] [--key FILE]
                [--seeds HOST[:PORT],... | --multicast] [--page | --no-page]
                [--config FILE] [--state-dir DIR] [--yes]
       gom init --join HOST[:PORT] [OPTION ...]

  --name NAME        name of this node; by default that of the host
  --address ADDRESS  address for the other nodes to reach it at, IPv4, IPv6, or one of each with a comma; by
                     default the IPv4 address of its default route and an IPv6 address of the same interface
  --node-id N        number of this node, 1 to 65535; by default the low 16 bits of its IPv4 address, without
                     one a number made of its machine id
  --key FILE         the cluster's key, a copy of another node's; without it a new key begins a new cluster
  --join HOST        join the cluster of that node, where `gom invite` shows a code that is good once; the
                     key, how the nodes find each other, and what else they have alike (such as their
                     engine) come from there. The code is asked for
  --seeds LIST       nodes to ask for the others, where multicast does not reach, IPv6 addresses in brackets;
                     none: ask nobody, which is for the first node
  --multicast        find the other nodes of this network by multicast (the default)
  --page             serve the page for browsers of this machine at 127.0.0.1:2980
  --no-page          serve no page (the default)
  --config FILE      the file to write; by default /etc/gomd/gomd.ini for root, ./gomd.ini for others. The
                     key is written beside it
  --state-dir DIR    where the daemon keeps its state, if not in its default directory
  --yes              ask nothing: the defaults hold for what is not given

Writes gomd.ini and the key of this node, and says what to run on the next one. On a terminal it asks for
what is not given. Files that exist are never overwritten, except the gomd.ini that a package has
installed, while nothing is set in it.
"""
#: The peers' port, of daemons whose seed is named without one.
PEER_PORT: Final = 5428
#: The port of `gom invite`.
INVITE_PORT: Final = 5430
_MAX_NODE_ID: Final = 65535
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
#: The word for a first node that asks no others.
NO_SEEDS: Final = "none"


class InitOptions(NamedTuple):
    """
    The options of `gom init`; it asks for those that are None, when it can.

    :ivar seeds: nodes to ask, with ports. None: not said. Empty: nobody.
    :ivar join: where to ask for the key.
    """

    name: str | None = None
    address: str | None = None
    node_id: int | None = None
    key: str | None = None
    seeds: tuple[str, ...] | None = None
    multicast: bool | None = None
    page: bool | None = None
    config: str = ""
    state_dir: str = ""
    asks: bool = True
    join: tuple[str, int] | None = None


def name(text: str) -> str:
    """Check a node's name. :raises MalformedRequest: it is not valid."""
    if not is_node_name(text):
        raise MalformedRequest(f"the name {text[:70]!r} {ALLOWED}")
    return text


def address(text: str) -> str:
    """
    Check the address of this machine, or one of each family with a comma between them. Opens and closes
    sockets.

    :returns: the addresses as gomd.ini has them, that of IPv4 first.
    :raises MalformedRequest: it is none, or another machine's.
    """
    found: dict[bool, str] = {}
    for item in map(str.strip, text.split(",")):
        one = _own_address(item)
        if found.setdefault(is_ipv6(one), one) is not one:
            raise MalformedRequest("an address is one of IPv4, one of IPv6, or one of each with a comma")
    return ", ".join(found[ipv6] for ipv6 in sorted(found))


def _own_address(text: str) -> str:
    try:
        one = str(parse_host(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        wanted = "IPv6 address: write it as fd00::1" if ":" in text else "IPv4 address: write it as 10.0.0.1"
        raise MalformedRequest(f"{text[:60]!r} is no {wanted}") from None
    if is_link_local(one) and not zone_of(one):
        raise MalformedRequest(f"{one} is link-local: name its interface too, such as {one}%eth0")
    try:
        family, kind, protocol, _name, place = socket.getaddrinfo(
            one, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)
    except OSError:
        raise MalformedRequest(
            f"{one} is no address of this machine: `ip -brief address` lists those it has"
        ) from None
    return one


def node_id(text: str) -> int:
    """Check a node's number. :raises MalformedRequest: it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= _MAX_NODE_ID):
        raise MalformedRequest(f"a node id is a number from 1 to {_MAX_NODE_ID}, not {text[:40]!r}")
    return int(text)


def seeds(text: str) -> tuple[str, ...]:
    """
    Return the nodes in a list with commas, each with a port; empty for `NO_SEEDS`.

    :raises MalformedRequest: one of them is not HOST or HOST:PORT, or there are none.
    """
    if text.strip() == NO_SEEDS:
        return ()
    found: dict[str, None] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        place = _place(item, PEER_PORT)
        if place is None:
            raise MalformedRequest(
                f"seeds are HOST, HOST:PORT or [ADDRESS]:PORT with commas between; {item[:60]!r} is neither"
            )
        if ":" in place[0] or place[0].replace(".", "").isdigit():
            _check_host_address(place[0])
        found[shown(*place)] = None
    if not found:
        raise MalformedRequest(f"--seeds needs nodes, such as 10.0.0.1, or {NO_SEEDS}")
    return tuple(found)


def join(text: str) -> tuple[str, int]:
    """Return the host and the port of an invitation. :raises MalformedRequest: it is neither."""
    place = _place(text, INVITE_PORT)
    if place is None:
        raise MalformedRequest(f"--join takes HOST, HOST:PORT or [ADDRESS]:PORT, not {text[:60]!r}")
    return place


def _place(text: str, port: int) -> tuple[str, int] | None:
    """Return a host and its port, None if ``text`` is neither a name nor an address."""
    try:
        place = split(text, port)
    except ValueError:
        return None
    return place if ":" in place[0] or _HOST.fullmatch(place[0]) else None


def _check_host_address(host: str) -> None:
    try:
        found = parse_host(host)
    except ValueError:
        raise MalformedRequest(f"{host[:60]} is no IPv4 address: write it as 10.0.0.1") from None
    if not is_one_host(found):
        raise MalformedRequest(f"{host} is no address of a single node: name one that runs gomd")
    if is_link_local(host) and not zone_of(host):
        raise MalformedRequest(f"{host} is link-local: name its interface too, such as [{host}%eth0]")


_VALUES: Final[Mapping[str, tuple[str, Callable[[str], object]]]] = {
    "--name": ("name", name),
    "--address": ("address", address),
    "--node-id": ("node_id", node_id),
    "--key": ("key", str),
    "--join": ("join", join),
    "--seeds": ("seeds", seeds),
    "--config": ("config", str),
    "--state-dir": ("state_dir", str),
}
_FLAGS: Final[Mapping[str, tuple[str, bool]]] = {
    "--multicast": ("multicast", True),
    "--page": ("page", True),
    "--no-page": ("page", False),
    "--yes": ("asks", False),
}


def parse(words: Sequence[str]) -> InitOptions:
    """
    Return the options in ``words``, which follow ``init``.

    :raises MalformedRequest: one is unknown, lacks its value, has a wrong one or contradicts another one.
    """
    rest = list(words)
    found: dict[str, object] = {}
    while rest:
        option, joined, value = rest.pop(0).partition("=")
        if option in _FLAGS and not joined:
            field, flag = _FLAGS[option]
            if found.get(field, flag) is not flag:
                raise MalformedRequest("--page and --no-page do not go together")
            found[field] = flag
        elif option in _VALUES:
            if not joined:
                if not rest:
                    raise MalformedRequest(f"{option} needs a value")
                value = rest.pop(0)
            if not value:
                raise MalformedRequest(f"{option} needs a value that is not empty")
            field, check = _VALUES[option]
            found[field] = check(value)
        else:
            raise MalformedRequest(f"gom init has no option {option[:40]}")
    if "seeds" in found and "multicast" in found:
        raise MalformedRequest(
            "--seeds and --multicast do not go together: choose how the nodes find each other"
        )
    if "join" in found and any(each in found for each in ("key", "seeds", "multicast")):
        raise MalformedRequest("--join brings the key and how the nodes find each other: leave those out")
    return InitOptions(**found)  # type: ignore[arg-type]
