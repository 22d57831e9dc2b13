"""
Every verb as a typed function that returns a `Call`: the request, and how to decode the answer.

These functions send nothing. ``client.call(calls.load())`` does, and so does the method ``client.load()``
that both clients make from it. ``node=`` forwards a request to that node, by id or name; without it, the
connected daemon answers. Values that a daemon does not know are None.

Here is what everybody may ask and do. `libgomd.admin_calls` has the calls of administrators and
`libgomd.watch_calls` those whose answer goes on; all of them are names of this module, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from libgomd import call_forms as forms
from libgomd import model
from libgomd.admin_calls import block as block
from libgomd.admin_calls import bring as bring
from libgomd.admin_calls import checkpoint as checkpoint
from libgomd.admin_calls import do as do
from libgomd.admin_calls import expel as expel
from libgomd.admin_calls import lstay as lstay
from libgomd.admin_calls import noblock as noblock
from libgomd.admin_calls import nolstay as nolstay
from libgomd.admin_calls import noquiet as noquiet
from libgomd.admin_calls import nostay as nostay
from libgomd.admin_calls import put as put
from libgomd.admin_calls import quiet as quiet
from libgomd.admin_calls import setspeed as setspeed
from libgomd.admin_calls import setyard as setyard
from libgomd.admin_calls import shutdown as shutdown
from libgomd.admin_calls import stay as stay
from libgomd.admin_calls import switches as switches
from libgomd.call_forms import NodeKey as NodeKey
from libgomd.replies import Call
from libgomd.watch_calls import watch as watch
from libgomd.watch_calls import watch_events as watch_events
from libgomd.watch_calls import watch_nodes as watch_nodes
from libgomd.wire.lines import Request

#: Seconds since the epoch, or text as the line protocol has it: ``15m``, ``2026-11-28T03:12``.
Moment = float | str


@dataclass(frozen=True, slots=True)
class Version:
    """The version of the daemon and of the line protocol it speaks."""

    version: str
    protocol: int


@dataclass(frozen=True, slots=True)
class Migration:
    """
    The result of a request to move a process.

    :ivar node: id of the node it runs on now; for a dry run, of the node where it could run.
    :ivar seconds: how long the daemon took. :ivar moved: whether this request moved it: not when it was there
        already, or is best where it is.
    """

    pid: int
    node: int
    seconds: float
    moved: bool


def ask(verb: str, *arguments: object, node: NodeKey = "", block: bool = False) -> Call[Any]:
    """
    Call a verb that has no function here. The answer is its JSON value.

    :param block: whether the verb answers with a block; the answer is then the list of its rows.
    """
    request = Request(verb, tuple(str(argument) for argument in arguments), str(node))
    return Call(request, lambda found: found, block=block, patient=True)


def help(verb: str = "", node: NodeKey = "") -> Call[list[model.VerbHelp]]:
    """Ask what verbs there are, or about one of them."""
    return forms.rows(model.VerbHelp, "help", *forms.optional(verb), node=node)


def version(*, node: NodeKey = "") -> Call[Version]:
    """Ask for the daemon's version."""
    return forms.one_object(Version, "version", node=node)


def whoami(*, node: NodeKey = "") -> Call[model.Caller]:
    """Ask as whom the daemon sees this connection, and with which role."""
    return forms.one_object(model.Caller, "whoami", node=node)


def nodes(*, at: Moment | None = None, node: NodeKey = "") -> Call[list[model.Node]]:
    """
    Ask for every configured node, down ones too, ordered by id.

    :param at: the moment that is meant; None for now. The list is empty when nothing is known about it.
    """
    then = () if at is None else (f"--at={forms.moment(at)}",)
    return forms.rows(model.Node, "nodes", *then, node=node)


def history(
    of: NodeKey,
    *fields: str,
    since: Moment | None = None,
    until: Moment | None = None,
    points: int | None = None,
    node: NodeKey = "",
) -> Call[list[model.HistoryRow]]:
    """
    Ask for values of a node over time, ordered by time; times about which nothing is known have no row.

    :param of: whose values. For a node that is down another one answers: `HistoryRow.by` says which.
    :param fields: the names of the values, such as ``load``; docs/history.md lists them.
    :param since: when they begin, an hour ago unless said. :param until: when they end, now unless said.
    :param points: largest number of rows of each field, 60 unless said.
    """
    options: list[object] = []
    for name, at in (("--since", since), ("--until", until)):
        options += [] if at is None else [f"{name}={forms.moment(at)}"]
    options += [] if points is None else [f"--points={points}"]
    return forms.rows(model.HistoryRow, "history", of, ",".join(fields), *options, node=node)


def node_map(*, node: NodeKey = "") -> Call[list[model.NodeRange]]:
    """Ask for the nodes as openMosix's map has them, ordered by id."""
    return forms.rows(model.NodeRange, "map", node=node)


def node(of: NodeKey = "", *, node: NodeKey = "") -> Call[model.Node]:
    """Ask for one node. :raises NotFound: there is none of that id or name."""
    return Call(forms.request("node", *forms.optional(of), node=node), forms.one_node, block=True)


def load(of: NodeKey = "", *, node: NodeKey = "") -> Call[int]:
    """Ask for the load, of another node too. :raises PeerUnreachable: that node is down."""
    return forms.number("load", of, node)


def speed(of: NodeKey = "", *, node: NodeKey = "") -> Call[int]:
    """Ask for the speed of one processor; a standard machine has 15000."""
    return forms.number("speed", of, node)


def cpus(of: NodeKey = "", *, node: NodeKey = "") -> Call[int]:
    """Ask how many processors are online."""
    return forms.number("cpus", of, node)


def util(of: NodeKey = "", *, node: NodeKey = "") -> Call[int]:
    """Ask for the usable share of the processors, 100 for each."""
    return forms.number("util", of, node)


def mem(of: NodeKey = "", *, node: NodeKey = "") -> Call[model.Memory]:
    """Ask for the memory, in bytes. :raises PeerUnreachable: that node is down."""
    return Call(forms.request("mem", *forms.optional(of), node=node), forms.memory)


def status(of: NodeKey = "", *, node: NodeKey = "") -> Call[model.Status]:
    """Ask for the status bits; a node that is down has one without `Status.UP`, and no error."""
    return Call(forms.request("status", *forms.optional(of), node=node), forms.status)


def ls(path: str, *, node: NodeKey = "") -> Call[list[str]]:
    """Ask for the names in a directory of the tree, numbers by value."""
    return Call(
        forms.request("ls", path, node=node), forms.each(lambda row: forms.text(row, "name")), block=True
    )


def get(path: str, *, node: NodeKey = "") -> Call[str]:
    r"""Ask for a file of the tree; bytes of it that are not printable UTF-8 come as ``\xNN``."""
    return Call(forms.request("get", path, node=node), lambda found: forms.text(found, "text"))


def ps(
    *pids: int,
    top: int | None = None,
    sort: str = "",
    user: str = "",
    match: str = "",
    jobs: bool = False,
    at: Moment | None = None,
    of: NodeKey = "",
    node: NodeKey = "",
) -> Call[list[model.Process]]:
    """
    Ask for every process, or for those named that are there; the node that is asked selects.

    :param top: that many at most, by ``cpu`` when ``sort`` names no other key.
    :param sort: ``cpu``, ``rss``, ``time``, ``io``, ``pid`` or ``start``.
    :param user: only processes of this user, by name or number.
    :param match: only processes with this in their name or command line, upper and lower case alike.
    :param jobs: only processes of jobs.
    :param at: the moment that is meant; None for now. The list is empty when nothing is known about it.
    :param of: with ``at``: the node that is meant, as the one that is asked remembers it.
    :raises NotFound: only one was named, and it is not there.
    """
    options = {"--top": top, "--sort": sort, "--user": user, "--match": match}
    selected: list[object] = [f"{name}={value}" for name, value in options.items() if value not in (None, "")]
    selected += ["--jobs"] if jobs else []
    selected += [] if at is None else [f"--at={forms.moment(at)}"]
    selected += [] if of == "" else [f"--of={of}"]
    return forms.rows(model.Process, "ps", *pids, *selected, node=node)


def where(pid: int, home: NodeKey = "", *, node: NodeKey = "") -> Call[int]:
    """
    Ask for the id of the node that a process runs on.

    :param home: the node whose process ``pid`` it is, when not the one that is asked.
    """
    return Call(forms.request("where", pid, *forms.optional(home), node=node), forms.integer)


def signal(pid: int | str, signal: int | str, *, node: NodeKey = "") -> Call[None]:
    """
    Send a signal, by number or name (``TERM``), to a process of the caller's.

    :param pid: its process id, or its `Process.identity`, which is never another process's.
    :raises Conflict: the process of this identity has ended, and its process id is another one's now.
    """
    return forms.order("signal", pid, signal, node=node)


def renice(pid: int | str, nice: int, *, node: NodeKey = "") -> Call[None]:
    """Set the niceness of a process of the caller's, -20 (favoured) to 19. ``pid`` as for `signal`."""
    return forms.order("renice", pid, nice, node=node)


def migrate(pid: int | str, target: NodeKey, *, dry_run: bool = False, node: NodeKey = "") -> Call[Migration]:
    """
    Move a process of the caller's, with all of its job; the answer comes when it runs there.

    :param pid: as for `signal`.
    :param target: a node's id or name, ``home``, or ``best`` for the best one now.
    :param dry_run: move nothing, only see whether it could.
    :raises NotPossible: it cannot move (there), and runs on where it is; says why.
    """
    words = (pid, target, *(("dry-run",) if dry_run else ()))
    return forms.one_object(Migration, "migrate", *words, node=node, patient=True)


def lock(pid: int | str, *, node: NodeKey = "") -> Call[None]:
    """Let balancing leave a process of the caller's where it is. ``pid`` as for `signal`."""
    return forms.order("lock", pid, node=node)


def unlock(pid: int | str, *, node: NodeKey = "") -> Call[None]:
    """Let balancing move a process of the caller's. ``pid`` as for `signal`."""
    return forms.order("unlock", pid, node=node)


def jobs(*, node: NodeKey = "") -> Call[list[model.Job]]:
    """Ask for the caller's jobs, everybody's for an admin; those that are over lately too."""
    return forms.rows(model.Job, "jobs", node=node)


def kill(job: int, signal: int | str = "TERM", *, node: NodeKey = "") -> Call[None]:
    """Send a signal to the process group of a job, wherever it runs."""
    return forms.order("kill", job, signal, node=node)


def events(
    *kinds: model.EventKind,
    newest: int | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    node: NodeKey = "",
) -> Call[list[model.Event]]:
    """
    Ask what happened lately, oldest first.

    :param kinds: only events of these kinds. :param newest: that many of the newest at most.
    :param since: what happened from then on, as far as it is remembered. :param until: the end of that time.
    """
    options = [f"--kind={','.join(kind.value for kind in kinds)}"] if kinds else []
    options += [] if newest is None else [f"--newest={newest}"]
    options += [
        f"{name}={forms.moment(at)}"
        for name, at in (("--since", since), ("--until", until))
        if at is not None
    ]
    return forms.rows(model.Event, "events", *options, node=node)


def doctor(node: NodeKey = "") -> Call[list[model.Finding]]:
    """Ask what is wrong on a node, and what is right; each finding says what mends it."""
    return forms.rows(model.Finding, "doctor", node=node)


def measures(name: str = "", *, node: NodeKey = "") -> Call[list[model.Measure]]:
    """Ask for file systems, processor time by mode, sockets and more. :param name: how their names begin."""
    return forms.rows(model.Measure, "measures", *forms.optional(name), node=node)


def busiest(*, node: NodeKey = "") -> Call[list[model.Process]]:
    """Ask for the ten processes that use most processor time, and the ten that use most memory."""
    return forms.rows(model.Process, "busiest", node=node)


def stats(*names: str, node: NodeKey = "") -> Call[list[model.Counter]]:
    """Ask what the daemon counted since it started: everything, or the counters named."""
    return forms.rows(model.Counter, "stats", *names, node=node)


def auth(token: str) -> Call[None]:
    """Raise this connection's role to that of the token's owner."""
    return forms.order("auth", token)
