"""What the answer to a datagram question says, for `libgomd.peer` and `libgomd.blocking_peer` alike."""

from __future__ import annotations

from typing import Final

from libgomd.errors import MalformedReply, error_for
from libgomd.model import Node
from libgomd.wire.messages import Answer, Summary

#: The peers port, unless a node says otherwise.
PORT: Final = 5428


def parse_address(node: str | tuple[str, int]) -> tuple[str, int]:
    """
    Return host and port of ``node``: ``HOST``, ``HOST:PORT`` or a pair; the host is an IPv4 address.

    :raises ValueError: it is none of them.
    """
    if isinstance(node, tuple):
        return node
    host, colon, port = node.partition(":")
    return host, int(port) if colon else PORT


def value_in(answer: Answer | Summary) -> bytes:
    """
    Return the data of an answer.

    :raises RequestError: the node said no. :raises NodeError: it could not.
    :raises MalformedReply: it answered something else than was asked.
    """
    if not isinstance(answer, Answer):
        raise MalformedReply("a summary came where a value was asked for")
    if answer.code != 200:
        raise error_for(answer.code, answer.data.decode("utf-8", "backslashreplace"))
    return answer.data


def node_in(answer: Answer | Summary) -> Node:
    """Return the node a summary tells of. Errors as in `value_in`."""
    if isinstance(answer, Summary):
        return answer.to_node()
    value_in(answer)
    raise MalformedReply("a value came where a summary was asked for")


def where_in(answer: Answer | Summary) -> int:
    """Return the number in a file ``where``, 0 for at home. Errors as in `value_in`."""
    data = value_in(answer)
    try:
        return int(data)
    except ValueError as error:
        raise MalformedReply(f"where says {data[:20]!r}") from error
