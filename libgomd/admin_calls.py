"""The calls of an administrator: switches and values of a node, commands of its `[commands]`, its end."""

from __future__ import annotations

from libgomd import call_forms as forms
from libgomd import model
from libgomd.call_forms import NodeKey
from libgomd.replies import Call, Stream


def put(path: str, value: object, *, node: NodeKey = "") -> Call[None]:
    """Write a value of the tree (admin)."""
    return forms.order("put", path, value, node=node, patient=True)


def setspeed(speed: int, *, node: NodeKey = "") -> Call[None]:
    """Set the node's speed (admin)."""
    return forms.order("setspeed", speed, node=node)


def setyard(speed: int, *, node: NodeKey = "") -> Call[None]:
    """Set the yardstick, the speed of a standard machine (admin)."""
    return forms.order("setyard", speed, node=node)


def stay(*, reason: str = "", node: NodeKey = "") -> Call[None]:
    """
    Let no process leave the node by balancing (admin).

    :param reason: what it is for, at most 200 characters; `switches` shows it. Likewise below.
    """
    return forms.order("stay", *forms.optional(reason), node=node)


def nostay(*, reason: str = "", node: NodeKey = "") -> Call[None]:
    """Let processes leave the node again (admin)."""
    return forms.order("nostay", *forms.optional(reason), node=node)


def lstay(*, reason: str = "", node: NodeKey = "") -> Call[None]:
    """Let no locally started process leave the node by balancing (admin)."""
    return forms.order("lstay", *forms.optional(reason), node=node)


def nolstay(*, reason: str = "", node: NodeKey = "") -> Call[None]:
    """Let locally started processes leave the node again (admin)."""
    return forms.order("nolstay", *forms.optional(reason), node=node)


def block(*, reason: str = "", node: NodeKey = "") -> Call[None]:
    """Refuse guests (admin)."""
    return forms.order("block", *forms.optional(reason), node=node)


def noblock(*, reason: str = "", node: NodeKey = "") -> Call[None]:
    """Take guests again (admin)."""
    return forms.order("noblock", *forms.optional(reason), node=node)


def quiet(*, reason: str = "", node: NodeKey = "") -> Call[None]:
    """Do not share load information (admin)."""
    return forms.order("quiet", *forms.optional(reason), node=node)


def noquiet(*, reason: str = "", node: NodeKey = "") -> Call[None]:
    """Share load information again (admin)."""
    return forms.order("noquiet", *forms.optional(reason), node=node)


def switches(*, node: NodeKey = "") -> Call[list[model.Switch]]:
    """Ask who set the switches of a node, when and why."""
    return forms.rows(model.Switch, "switches", node=node)


def bring(*, reason: str = "", node: NodeKey = "") -> Call[None]:
    """
    Bring all of the node's processes home; the answer comes when they are (admin).

    :raises Conflict: some stay away; says how many and why.
    """
    return forms.order("bring", *forms.optional(reason), node=node, patient=True)


def expel(*, reason: str = "", node: NodeKey = "") -> Call[None]:
    """
    Send all guests away; the answer comes when they are gone (admin).

    :raises Conflict: some stay; says how many and why.
    """
    return forms.order("expel", *forms.optional(reason), node=node, patient=True)


def checkpoint(name: str, *, node: NodeKey = "") -> Call[None]:
    """Leave a mark in the sample log, to find this moment again (admin)."""
    return forms.order("checkpoint", name, node=node)


def shutdown(*, node: NodeKey = "") -> Call[None]:
    """Stop the daemon, cleanly (admin)."""
    return forms.order("shutdown", node=node)


def do(name: str, *, node: NodeKey = "") -> Stream[model.Output]:
    """Run a command of `[commands]` (admin): first its output, line by line, last its exit status."""
    return forms.stream(model.Output, "do", name, node=node)
