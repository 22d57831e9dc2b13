"""`gom invite`: shows a code that is good once, and gives the cluster's key to the node that knows it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gom import init_options
from gom.init_options import INVITE_PORT
from gom.join.agreed import checked
from gom.join.inviting import MAX_WRONG, Invitation, Noticed, Proven, Wrong, give
from gom.join.protocol import Introduction, digits_of, new_code, pake
from gom.relay import ask_value
from libgomd.endpoints import Endpoint
from libgomd.errors import ConfigError, GomdError, MalformedReply, MalformedRequest
from libgomd.keys import read_key_file
from libgomd.wire.addresses import shown
from libgomd.wire.lines import Request
from libgomd.wire.text import printable

#: Minutes that an invitation is open unless another number is given, and at most.
MINUTES: Final = 10
MAX_MINUTES: Final = 60
#: Where an invitation listens when the engine swim has its usual port: that is so far above the peer port.
OTHER_PORT: Final = 5427
_SWIM_OFFSET: Final = 2
USAGE: Final = f"""\
usage: gom invite [--port PORT] [--address ADDRESS] [--minutes N] [--yes]

  --port PORT        where to listen while the invitation is open; {INVITE_PORT} unless said, and {OTHER_PORT}
                     where the engine swim has that
  --address ADDRESS  of this machine, to listen at; those of [peers] unless said
  --minutes N        how long the invitation is open, at most {MAX_MINUTES}; {MINUTES} unless said
  --yes              give the key to whoever knows the code, without asking

Shows a code; `gom init --join` on the new node asks for it. It is good once, for one node. A person here
says yes before the key is given; three wrong codes end the invitation, and are an event. Whoever has the key
is root on every node of the cluster.

Needs root, the package spake2 (apt install python3-spake2, or pip install 'gomd[join]'), and the port open
between the two nodes.

Exit status: 0 a node has the key now, 1 nobody has got it, 2 wrong usage, 3 no daemon there.
"""


class InviteOptions(NamedTuple):
    """What `gom invite` was told. :ivar port: None: not said."""

    port: int | None = None
    address: str = ""
    minutes: int = MINUTES
    asks: bool = True


def parse(words: Sequence[str]) -> InviteOptions:
    """Return the options. :raises MalformedRequest: one is unknown or wrong."""
    rest, found = list(words), InviteOptions()
    while rest:
        option, joined, value = rest.pop(0).partition("=")
        if option == "--yes" and not joined:
            found = found._replace(asks=False)
            continue
        if option not in ("--port", "--address", "--minutes"):
            raise MalformedRequest(f"gom invite has no option {option[:40]}; see `gom invite --help`")
        if not joined:
            value = rest.pop(0) if rest else ""
        if option == "--address":
            found = found._replace(address=init_options.address(value))
        elif option == "--port":
            found = found._replace(port=_number(option, value, 65535))
        else:
            found = found._replace(minutes=_number(option, value, MAX_MINUTES))
    return found


def _number(option: str, value: str, most: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 6 and 1 <= int(value) <= most):
        raise MalformedRequest(f"{option} is a number from 1 to {most}")
    return int(value)


def invite(
    places: Sequence[Endpoint], token: str, options: InviteOptions, ask: Callable[[str], str] | None
) -> int:
    """
    Invite one node, and return the exit status. Blocks until it has the key, or the invitation has ended.

    :param ask: asks the person here; None when there is none.
    :raises GomdError: there is no daemon, or it has no cluster.
    """
    if ask is None and options.asks:
        raise MalformedRequest("somebody has to say yes: run it on a terminal, or with --yes")
    pake(b"00000000", is_joiner=False)  # what is missing is said before a code is shown
    told = json.loads(ask_value(places, token, Request("invitation")))
    introduction, addresses = _introduction(told, options)

    def is_taken(name: str) -> bool:
        rows = json.loads("[" + ",".join(_nodes(places, token)) + "]")
        return any(row["name"] == name and row["up"] for row in rows)

    port = options.port or port_beside(told)
    code = new_code()
    try:
        invitation = Invitation(addresses, port, digits_of(code), str(told["name"]), is_taken)
    except OSError as error:
        raise ConfigError(
            [f"cannot listen at {shown(addresses[0], port)} ({error.strerror}): choose another --port"]
        ) from error
    with invitation:
        usual = invitation.port == INVITE_PORT
        places_here = " or ".join(each if usual else shown(each, invitation.port) for each in addresses)
        _say(f"on the new node, as root:  gom init --join {places_here}")
        _say(f"its code:  {code}    good once, for {options.minutes} minutes; Ctrl-C ends the invitation")
        _tell(places, token, "open")
        return _wait(invitation, options, introduction, places, token, ask)


def _wait(
    invitation: Invitation,
    options: InviteOptions,
    introduction: Introduction,
    places: Sequence[Endpoint],
    token: str,
    ask: Callable[[str], str] | None,
) -> int:
    wrong, end = 0, time.monotonic() + options.minutes * 60
    while (left := end - time.monotonic()) > 0:
        caller = next(invitation.callers(left), None)
        if isinstance(caller, Noticed):
            _say(f"{caller.address}: {caller.why}")
        elif isinstance(caller, Wrong):
            wrong += 1
            _say(f"{caller.address}: a wrong code, {wrong} of {MAX_WRONG}")
            if wrong >= MAX_WRONG:
                invitation.close()
                _tell(places, token, "ended", "", caller.address)
                _say("three wrong codes: the invitation has ended, and nobody has got the key")
                return 1
        elif isinstance(caller, Proven):
            invitation.close()
            return _decide(caller, introduction, places, token, ask if options.asks else None)
    _say("the invitation has ended: nobody has come")
    return 1


def _decide(
    caller: Proven,
    introduction: Introduction,
    places: Sequence[Endpoint],
    token: str,
    ask: Callable[[str], str] | None,
) -> int:
    who = f"{caller.name} ({caller.address})"
    question = f"{who} knows the code. Give it the key, with which it is root on every node? [no] "
    if ask is not None and ask(question).strip().lower() not in ("y", "yes"):
        caller.channel.refuse("the person at the other node has said no")
        _say("nobody has got the key")
        return 1
    try:
        give(caller, introduction)
    except GomdError as error:
        _tell(places, token, "given", caller.name, caller.address)
        _say(f"{who} has not said that it has written the key ({error}); it may have it all the same")
        return 1
    _tell(places, token, "given", caller.name, caller.address)
    _say(f"{who} has the key and its gomd.ini; it is a node once gomd runs there")
    return 0


def port_beside(told: Mapping[str, Any]) -> int:
    """Return the port at which an invitation listens beside the daemon that told about itself."""
    has_swim = "swim" in str(told.get("engine")).split(",")
    return OTHER_PORT if has_swim and told.get("port") == INVITE_PORT - _SWIM_OFFSET else INVITE_PORT


def _introduction(told: dict[str, Any], options: InviteOptions) -> tuple[Introduction, list[str]]:
    """Return what a new node is given, and the addresses to listen at."""
    engines = str(told.get("engine")).split(",")
    if told.get("keys", 1) != 1:
        raise ConfigError(
            ["the key of the cluster is being changed ([peers] key_file has two), and a new node gets one: "
             "invite it when that is done on all nodes"]
        )  # fmt: skip
    if "map" in engines:
        raise ConfigError(["nodes of engine map stand in a list: add the new one there, and copy the key"])
    if not {"heartbeat", "swim", "serf"}.issuperset(engines):
        raise MalformedReply(f"the daemon has the engine {engines[0]}, which this gom does not know")
    try:
        addresses = [str(each) for each in told.get("addresses") or [told["address"]]]
        port, key = int(told["port"]), str(told["key_file"])
        seeds = [str(seed) for seed in told["seeds"]]
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedReply("the daemon did not say what a new node must be told") from error
    if any(each in ("0.0.0.0", "", "::") for each in addresses):
        from gom.own_addresses import default_addresses

        addresses = default_addresses(addresses)
    multicast = bool(told.get("multicast"))
    agreed = checked(told.get("agreed"))
    # The other engines need seeds; a multicast of other groups may be one that a new node does not reach.
    is_usual = port == 5428 and engines == ["heartbeat"] and "peers.multicast" not in dict(agreed)
    own = [] if multicast and is_usual else [shown(each, port) for each in addresses]
    known = dict.fromkeys(own + seeds)
    for seed in known:
        init_options.seeds(seed)  # as the new node checks it, to which the key has been given by then
    return Introduction(read_key_file(key), tuple(known), multicast, agreed), (
        [each.strip() for each in options.address.split(",")] if options.address else addresses
    )


def _nodes(places: Sequence[Endpoint], token: str) -> Sequence[str]:
    from gom.relay import ask_rows

    return list(ask_rows(places, token, Request("nodes"))[1])


def _tell(places: Sequence[Endpoint], token: str, *words: str) -> None:
    """Tell the daemon, for its log and its events; that it does not answer changes nothing."""
    try:
        ask_value(places, token, Request("invitation", words))
    except GomdError as error:
        print(f"gom: the daemon could not be told: {printable(str(error))}", file=sys.stderr)


def _say(line: str) -> None:
    print(printable(line), flush=True)
