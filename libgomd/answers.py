"""Decodes answers to datagram questions, for both `libgomd.peer` and `libgomd.blocking_peer`."""

from __future__ import annotations

from typing import Final

from libgomd.errors import MalformedReply, error_for
from libgomd.model import Node
from libgomd.wire.addresses import split
from libgomd.wire.messages import Answer, Summary

#: Default UDP port of the peer protocol.
PORT: Final = 5428


def parse_address(node: str | tuple[str, int]) -> tuple[str, int]:
    """
    Return host and port of ``node``: ``HOST``, ``HOST:PORT``, ``[ADDRESS]:PORT`` for IPv6, or a pair.

    :raises ValueError: it is none of these.
    """
    return node if isinstance(node, tuple) else split(node, PORT)


def value_in(answer: Answer | Summary) -> bytes:
    """
    Return the data of an answer.

    :raises RequestError: the node refused. :raises NodeError: the node failed.
    :raises MalformedReply: the answer is of another kind than the question.
    """
    if not isinstance(answer, Answer):
        raise MalformedReply("the node sent a summary instead of a value")
    if answer.code != 200:
        raise error_for(answer.code, answer.data.decode("utf-8", "backslashreplace"))
    return answer.data


def node_in(answer: Answer | Summary) -> Node:
    """Return the node in a summary. Errors as in `value_in`."""
    if isinstance(answer, Summary):
        return answer.to_node()
    value_in(answer)
    raise MalformedReply("the node sent a value instead of a summary")


def where_in(answer: Answer | Summary) -> int:
    """Return the node id in a file ``where``, 0 for "at home". Errors as in `value_in`."""
    data = value_in(answer)
    try:
        return int(data)
    except ValueError as error:
        raise MalformedReply(f"the file `where` contains {data[:20]!r} instead of a node id") from error
