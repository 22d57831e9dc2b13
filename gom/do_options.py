"""The command line of `gom do NAME -n NODES`, and which nodes it means."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from libgomd.errors import MalformedRequest
from libgomd.node_sets import expand

#: Nodes on which the command runs at a time where nothing else is said, as with clush.
FANOUT: Final = 32
MAX_FANOUT: Final = 256
USAGE: Final = f"""\
usage: gom do NAME
       gom do NAME -n NODES [-f N] [-l]

  -n NODES  on these nodes: node[1-8,12], alpha,beta, 1-4,7 (ids), @all (those that are up), or of these
            @all!beta (without), node[1-9]&node[5-20] (in both)
  -f N      on so many nodes at a time, at most {MAX_FANOUT}; unless said, on {FANOUT}, or on more nodes than
            that on all at once, most of which are then asked through others
  -l        each line as it comes, behind the name of its node; otherwise nodes that printed the same are
            shown together once all have ended

Without -n the command runs here. What NAME runs is in [commands] of gomd.ini on each node. With --json, one
object a node as it ends: node, name, lines, exit, error, cut. Ctrl-C ends the command on all nodes.

Exit status: the highest of all nodes'; a node on which it could not run counts as 1.
"""


class Everywhere(NamedTuple):
    """
    What `gom do` is to do on many nodes.

    :ivar fanout: on how many at a time; None where that is not said.
    :ivar is_live: whether each line is shown as it comes.
    """

    command: str
    nodes: str
    fanout: int | None = None
    is_live: bool = False


class NodeTarget(NamedTuple):
    """A node that was named. :ivar error: why it is not asked; empty when it is."""

    node: int
    name: str
    error: str = ""


def parse(words: Sequence[str]) -> Everywhere | None:
    """
    Return what the words after `do` say; None without ``-n``, when the request is for one daemon.

    :raises MalformedRequest: they say nothing that can be done.
    """
    if not any(word in ("-n", "-f", "-l") or word.startswith(("-n", "-f")) for word in words):
        return None
    rest, found, command = list(words), {}, ""
    while rest:
        word = rest.pop(0)
        if word == "-l":
            found["-l"] = ""
        elif word[:2] in ("-n", "-f"):
            value = word[2:] or (rest.pop(0) if rest else "")
            if not value:
                raise MalformedRequest(f"{word} needs a value; see `gom do --help`")
            found[word[:2]] = value
        elif word.startswith("-"):
            raise MalformedRequest(f"gom do has no option {word[:40]}; see `gom do --help`")
        elif command:
            raise MalformedRequest(
                "gom do takes one NAME; what else a command needs is in [commands] of gomd.ini"
            )
        else:
            command = word
    if not command or "-n" not in found:
        raise MalformedRequest("usage: gom do NAME -n NODES; see `gom do --help`")
    fanout = found.get("-f")
    if fanout is not None and (not fanout.isdecimal() or not 1 <= int(fanout[:9]) <= MAX_FANOUT):
        raise MalformedRequest(f"-f is a number from 1 to {MAX_FANOUT}, not {fanout[:20]}")
    return Everywhere(command, found["-n"], None if fanout is None else int(fanout), "-l" in found)


def targets(nodes: str, rows: Iterable[str]) -> list[NodeTarget]:
    """
    Return the nodes that are meant, in the order of the expression.

    :param rows: the answer of the verb `nodes`, one JSON object each.
    :raises MalformedRequest: it is no set of nodes, or a name in it is no node's.
    """
    known = [json.loads(row) for row in rows]
    by_name: dict[str, dict[str, object]] = {}
    for row in reversed(known):  # a name that stands twice means the lower id
        by_name[str(row["name"])] = row
    by_id = {str(row["id"]): row for row in known}
    names = expand(nodes, lambda: [str(row["name"]) for row in known if row["up"]])
    unknown = [name for name in names if name not in by_name and name not in by_id]
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise MalformedRequest(f"no node is called {', '.join(unknown[:5])}{more}; `gom nodes` lists them")
    found: dict[int, NodeTarget] = {}
    for name in names:
        row = by_name.get(name) or by_id[name]
        node = int(str(row["id"]))
        found[node] = NodeTarget(node, str(row["name"]), "" if row["up"] else "the node is down")
    return list(found.values())
