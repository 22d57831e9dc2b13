"""The new node's end: `gom init --join`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from gom.join.channel import Channel
from gom.join.protocol import VERSION, Exchange, Introduction, bytes_in, text_in
from libgomd.errors import ConfigError, ConnectionLost
from libgomd.wire.addresses import shown

#: Seconds to connect, and for each answer but the last.
_LIMIT: Final = 20.0
#: Seconds for the person at the other node to say yes.
_PERSON: Final = 300.0


class Joined(NamedTuple):
    """
    What the other node gave. :ivar address: this machine's, at which that node sees it.

    :ivar finish: tells the other node that the key is written, and hangs up.
    """

    introduction: Introduction
    address: str
    inviter: str
    finish: Callable[[], None]


def dial(host: str, port: int) -> Channel:
    """Connect to an invitation. Blocks. :raises ConfigError: there is none."""
    try:
        return Channel(socket.create_connection((host, port), _LIMIT), _LIMIT)
    except OSError as error:
        raise ConfigError(
            [
                f"no invitation is open at {shown(host, port)} ({error.strerror or error}): "
                "say `gom invite` there"
            ]
        ) from error


def join(channel: Channel, name: str, code: bytes) -> Joined:
    """
    Prove that the code is known, and return what the other node gives. Blocks until somebody there says yes.

    :raises RequestError: the other node refuses, in its own sentence.
    :raises WrongCode: it does not know the code.
    :raises MalformedReply: it is no invitation. :raises ConnectionLost, TimedOut: it is gone, or silent.
    """
    exchange = Exchange(code, is_joiner=True)
    where = {"from": channel.here, "to": channel.there}
    hello = {"join": VERSION, "name": name, **where, "pake": exchange.first.hex()}
    exchange.say(channel.send(hello))
    try:
        answer, line = channel.receive()
    except ConnectionLost as error:
        raise ConnectionLost(f"{error}: name the host and port that `gom invite` shows there") from error
    inviter = text_in(answer, "name")
    exchange.say(line)
    exchange.meet(bytes_in(answer, "pake"))
    channel.send({"confirm": exchange.confirmation(of_joiner=True).hex()})
    channel.extend(_PERSON)
    last, _ = channel.receive()
    exchange.check(bytes_in(last, "confirm"), of_joiner=False)
    introduction = exchange.open(bytes_in(last, "sealed"))
    channel.extend(_LIMIT)

    def finish() -> None:
        try:
            channel.send({"done": exchange.done.hex()})
        except ConnectionLost:
            pass  # the key is here; the other node only does not say so
        channel.close()

    return Joined(introduction, channel.here, inviter, finish)
