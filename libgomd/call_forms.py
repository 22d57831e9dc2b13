"""The few forms that typed calls have, such as an order, a number or rows, and how each is decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from libgomd import model
from libgomd.errors import MalformedReply, MalformedRequest, PeerUnreachable
from libgomd.replies import Call, EachRow, Stream
from libgomd.wire import values
from libgomd.wire.lines import Request

T = TypeVar("T")
#: A node's id or its name.
NodeKey = int | str


def request(verb: str, *arguments: object, node: NodeKey = "") -> Request:
    """Return a request for one node. :raises MalformedRequest: it is for all nodes."""
    key = str(node)
    if key.lower() == "all":
        raise MalformedRequest("a typed call is for one node: ask each of `nodes()`, or use `ask`")
    return Request(verb, tuple(str(argument) for argument in arguments), key)


def optional(key: NodeKey) -> tuple[NodeKey, ...]:
    """Return the argument that names a node, nothing when none is named."""
    return () if key == "" else (key,)


def order(verb: str, *arguments: object, node: NodeKey = "", patient: bool = False) -> Call[None]:
    """Return a call whose answer has no value."""
    return Call(request(verb, *arguments, node=node), lambda found: None, patient=patient, order=True)


def one_object(kind: type[T], verb: str, *arguments: object, node: NodeKey, patient: bool = False) -> Call[T]:
    """Return a call that is answered by one object."""
    asked = request(verb, *arguments, node=node)
    return Call(asked, lambda found: values.decode(kind, found), patient=patient)


def rows(kind: type[T], verb: str, *arguments: object, node: NodeKey) -> Call[list[T]]:
    """Return a call that is answered by a block of rows."""
    asked = request(verb, *arguments, node=node)
    return Call(asked, each(lambda row: values.decode(kind, row)), block=True)


def stream(kind: type[T], verb: str, *arguments: object, node: NodeKey) -> Stream[T]:
    """Return a request whose rows come one by one."""
    asked = request(verb, *arguments, node=node)
    return Stream(asked, lambda: EachRow(lambda row: values.decode(kind, row)))


def each(decode: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    """Return a decoder of the rows of a block."""
    return lambda found: [decode(row) for row in found]


def moment(at: float | str) -> str:
    """Return a moment as a request has it: seconds since the epoch, or the text that was given, ``15m``."""
    return at if isinstance(at, str) else f"{at:.3f}"


_DOWN = "that node is down: it has no values"


def number(verb: str, of: NodeKey, node: NodeKey) -> Call[int]:
    """Return a call for one number of a node. The answer raises `PeerUnreachable` when the node is down."""
    return Call(request(verb, *optional(of), node=node), _value)


def _value(found: Any) -> int:
    if found is None:
        raise PeerUnreachable(_DOWN)
    return integer(found)


def memory(found: Any) -> model.Memory:
    """Return the memory of a node. :raises PeerUnreachable: the node is down."""
    if isinstance(found, dict) and found.get("mem", 0) is None:
        raise PeerUnreachable(_DOWN)
    return values.decode(model.Memory, found)


def integer(found: Any) -> int:
    """Return a number of a reply. :raises MalformedReply: it is none."""
    if isinstance(found, bool) or not isinstance(found, int):
        raise MalformedReply(f"expected a number, got {found!r:.80}")
    return found


def status(found: Any) -> model.Status:
    """Return the status bits of a row."""
    return model.Status(integer(found.get("status") if isinstance(found, dict) else None))


def text(found: Any, name: str) -> str:
    """Return one text of an object. :raises MalformedReply: it has none of that name."""
    text = found.get(name) if isinstance(found, dict) else None
    if not isinstance(text, str):
        raise MalformedReply(f"expected an object with {name!r}, got {found!r:.80}")
    return text


def one_node(found: Sequence[Any]) -> model.Node:
    """Return the node of a block of one row. :raises MalformedReply: there are more or fewer."""
    if len(found) != 1:
        raise MalformedReply(f"node: expected one row, got {len(found)}")
    return values.decode(model.Node, found[0])
