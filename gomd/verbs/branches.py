"""
The branches of a fan-out: which nodes are asked through which, and how the verb `relay` says so.

Pure. A request for many nodes is a tree: the asked daemon asks at most `FAN_OUT` nodes itself, each of them
on behalf of its branch. A branch is an explicit list of node ids; the branches of one request are disjoint,
and a branch never contains the node that it is sent to. So no node is asked twice and there is no loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from gomd.verbs import arguments as words
from libgomd.errors import MalformedRequest
from libgomd.wire.lines import Request

T = TypeVar("T")

#: The verb by which a daemon asks another one to ask a branch of nodes.
RELAY: Final = "relay"
#: Default number of nodes that one request asks itself; `[peers] fan_out`.
FAN_OUT: Final = 32
#: How often a branch may be divided again. With the default fan-out that is enough for all 65535 ids.
MAX_DEPTH: Final = 3
#: Largest number of nodes of one branch: the list of their ids has to fit into a request line.
MAX_BRANCH: Final = 400
#: Seconds that a relay may be told to take, at most.
MAX_SECONDS: Final = 86_400.0
#: The verbs that are asked through other nodes. They change nothing, so that a branch whose relay has failed
#: can be asked again, and their answers do not depend on which daemon passes the request on.
RELAYED: Final = frozenset({
    "busiest", "cpus", "doctor", "events", "get", "history", "jobs", "load", "ls", "map", "measures", "mem",
    "node", "nodes", "ps", "speed", "stats", "status", "switches", "util", "version", "where",
})  # fmt: skip
#: The verb that repeats one of them, and the one that runs a command: see gomd.verbs.tree_do.
WATCH: Final = "watch"
DO: Final = "do"
#: The first argument of a watch whose rounds a relay is to join.
JOINED: Final = "--joined"
#: What stands behind ``@`` for several nodes: two ids at least.
SEVERAL: Final = re.compile(r"[0-9]{1,5}[-,][-,0-9]*")
_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
MAX_ID: Final = 65535


class BranchRequest(NamedTuple):
    """
    What a relay is asked: to ask itself and the nodes of a branch.

    :ivar depth: how often the branch may be divided again. :ivar seconds: until everything must be answered.
    :ivar nodes: the ids of the branch, in ascending order, without that of the relay.
    :ivar request: what each node is asked. :ivar joined: whether the rounds of a watch come joined
        (gomd.verbs.branch_rounds), which older versions refuse as malformed.
    """

    depth: int
    seconds: float
    nodes: tuple[int, ...]
    request: Request
    joined: bool = False

    def as_request(self) -> Request:
        """Return it as a request; `parse_branch` is the inverse."""
        asked = self.request
        words = (JOINED, *asked.arguments) if self.joined else asked.arguments
        return Request(
            RELAY, (str(self.depth), f"{self.seconds:g}", ids_text(self.nodes), asked.verb, *words)
        )


def parse_branch(arguments: Sequence[str], own: int) -> BranchRequest:
    """
    Return what the arguments of `relay` ask node ``own``.

    :raises MalformedRequest: they are not in this form, or the list contains the node itself or one twice.
    """
    depth, seconds, nodes, verb, *rest = arguments
    joined = verb.lower() == WATCH and rest[:1] == [JOINED]
    return BranchRequest(
        words.whole_number(depth, "DEPTH", 0, MAX_DEPTH),
        words.seconds(seconds, "SECONDS", 0.1, MAX_SECONDS),
        ids_in(nodes, own),
        Request(verb.lower(), tuple(rest[1:] if joined else rest)),
        joined,
    )


def is_relayed(request: Request) -> bool:
    """Return whether a relay passes ``request`` on: a verb of `RELAYED`, ``watch -n N`` of one, or `do`."""
    if request.verb == WATCH:
        return request.arguments[:1] == ("-n",) and not RELAYED.isdisjoint(request.arguments[2:3])
    return request.verb in RELAYED or request.verb == DO


def ids_text(ids: Iterable[int]) -> str:
    """Return ids in ascending order as ``2-31,40``; ``-`` for none."""
    runs: list[list[int]] = []
    for each in ids:
        if runs and each == runs[-1][1] + 1:
            runs[-1][1] = each
        else:
            runs.append([each, each])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs) or "-"


def ids_in(text: str, own: int, most: int = MAX_BRANCH) -> tuple[int, ...]:
    """
    Return the ids that `ids_text` wrote.

    :param own: the id of this node, which must not be among them. :raises MalformedRequest: it is, or the
        text is no list of ids in ascending order, or it has more than ``most``.
    """
    found: list[int] = []
    for word in () if text == "-" else text.split(","):
        match = _RANGE.fullmatch(word)
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else 0
        if not 1 <= first <= last <= MAX_ID:
            raise MalformedRequest(f"NODES is a list of node ids like 2-31,40, not {text[:40]}")
        if found and first <= found[-1]:
            raise MalformedRequest(f"the list names node {first} twice, or not in ascending order")
        if len(found) + last - first >= most:
            raise MalformedRequest(f"the list has more than {most} nodes: divide it")
        found += range(first, last + 1)
    if own in found:
        raise MalformedRequest(f"the list names node {own}, which is to relay it: it answers without that")
    return tuple(found)


def divide(nodes: Sequence[T], most: int) -> list[Sequence[T]]:
    """
    Return ``nodes`` in parts of about the same size, in order.

    :param most: the number of parts; more are made only where a part would exceed `MAX_BRANCH`.
    """
    count = max(min(most, len(nodes)), -(-len(nodes) // MAX_BRANCH))
    return [nodes[len(nodes) * at // count : len(nodes) * (at + 1) // count] for at in range(count)]
