"""The calls whose answer goes on: a call asked again and again, of one node or of all, and events to come."""

from __future__ import annotations

from typing import TypeVar

from libgomd import call_forms as forms
from libgomd import model
from libgomd.call_forms import NodeKey
from libgomd.errors import MalformedRequest
from libgomd.node_rounds import NodeAnswer, NodeRounds
from libgomd.replies import Call, Rounds, Stream

T = TypeVar("T")


def watch(call: Call[T], *, seconds: float | None = None, rounds: int | None = None) -> Stream[T]:
    """
    Ask ``call`` again and again.

    :param seconds: from round to round, 1 unless said; the daemon has a smallest value.
    :param rounds: how many; None for no end.
    :raises MalformedRequest: for `events`, which come as they happen: `watch_events`.
    """
    if call.request.verb == "events":
        raise MalformedRequest("events come as they happen: use `watch_events`")
    options: list[object] = [] if seconds is None else ["-n", f"{seconds:g}"]
    options += [] if rounds is None else ["-c", rounds]
    asked = call.request
    request = forms.request("watch", *options, asked.verb, *asked.arguments, node=asked.node)
    return Stream(request, lambda: Rounds(call))


def watch_nodes(
    call: Call[T],
    *,
    nodes: NodeKey = "all",
    seconds: float | None = None,
    rounds: int | None = None,
    most: int | None = None,
) -> Stream[list[NodeAnswer[T]]]:
    """
    Ask ``call`` of every node, or of one, again and again; each round has what each node said last.

    :param nodes: ``all``, or the id or name of one. Other parameters as for `watch`.
    :param most: of `ps` in an order: only so many rows of all nodes together, the first ones; None for all.
    :raises MalformedRequest: for `events`, which every node knows, and for a call that names a node.
    """
    if call.request.verb == "events":
        raise MalformedRequest("every node knows the events of all nodes: use `watch_events`")
    if call.request.node:
        raise MalformedRequest("name the nodes in `nodes`, and none in the call")
    options: list[object] = [] if seconds is None else ["-n", f"{seconds:g}"]
    options += [] if rounds is None else ["-c", rounds]
    options += [] if most is None else ["--most", most]
    asked = call.request
    request = forms.request("watch", *options, f"@{nodes}", asked.verb, *asked.arguments)
    return Stream(request, lambda: NodeRounds(call))


def watch_events(*, node: NodeKey = "") -> Stream[model.Event]:
    """Ask to be told of events as they happen."""
    return forms.stream(model.Event, "watch", "events", node=node)
