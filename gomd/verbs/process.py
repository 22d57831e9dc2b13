"""The verbs about processes: list them, find where they run, signal and renice them."""

from __future__ import annotations

import signal as signals
from collections.abc import Callable, Sequence
from typing import Any

from gomd.jobs.home.process_ids import lives
from gomd.jobs.ownership import Annotations, JobTrees, line_of
from gomd.verbs import arguments as words
from gomd.verbs import selection as selecting
from gomd.verbs.context import ISession, Parts
from gomd.verbs.holdings import with_holdings, without_holdings
from gomd.verbs.identity import Named, named_process
from gomd.verbs.past import processes_at, remembered_ps
from gomd.verbs.process_columns import FIELD_COLUMNS, PROCESS_COLUMNS, WithFields
from gomd.verbs.remote_processes import (
    is_hidden,
    job_elsewhere,
    own_job_elsewhere,
    pid_there,
    processes_elsewhere,
    send_signal,
)
from gomd.verbs.replies import Relayed, Reply, Rows, ValueReply
from gomd.verbs.rounds import Watcher
from gomd.verbs.table import Verb
from gomd.verbs.visible_processes import Aged, seen_by
from libgomd.errors import NotFound, SourceUnavailable, TimedOut, error_for
from libgomd.model import Caller, Job, Node, Process, Role
from libgomd.wire.lines import OK, Request

#: Seconds; an older process table is scanned again before it is shown.
MAX_TABLE_AGE = 1.0
#: Seconds; an older table is shown with its age. A scan takes less.
MIN_SHOWN_AGE = 2.0
#: Up to so many processes that are named by id are read one by one, instead of from the table.
MAX_SINGLE_READS = 16


async def ps(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """List all processes, or those that the arguments select."""
    selection = selecting.parse(arguments)
    if selection.at:
        answer = await processes_at(parts, session, selection, arguments)
        if isinstance(answer, Reply):
            return answer
        text, past = answer
        return _rows(text, without_holdings(past, selection.fields), selection.fields)
    asked = set(selection.pids)
    period = session.period if isinstance(session, Watcher) and session.period is not None else MIN_SHOWN_AGE
    # Watched once a second, it is scanned once a second, and CPU percentages are over that second.
    max_age, shown_age = min(MAX_TABLE_AGE, 0.8 * period), min(MIN_SHOWN_AGE, max(0.5, 2 * period))
    wanted = sorted(asked | {parts.jobs.pid_here(pid) for pid in asked})
    if 0 < len(wanted) <= MAX_SINGLE_READS:
        here, age, annotations = await _read_afresh(parts, wanted), 0.0, Annotations()
    else:
        table = await parts.collector.processes(max_age)
        here, age = table.processes, max(0.0, parts.clock.seconds() - table.read_at)
        annotations = parts.annotations
    elsewhere = await processes_elsewhere(parts, session.caller, wanted)
    trees = JobTrees(parts.jobs.here())
    parents = {process.pid: process.ppid for process in here} if trees.roots else {}
    moved = {process.pid for process in elsewhere if process.home == parts.members.own_id}
    everything = annotations.annotate(here, trees, parents, parts.members.own_id)
    if moved:  # what is left of a job that has moved is no row
        everything = [each for each in everything if each.pid not in moved or lives(each.pid)]
    everything += elsewhere
    found = [process for process in everything if process.pid in wanted] if wanted else everything
    caller, fields = session.caller, selection.fields
    listed = seen_by(parts, caller, found, rates=selection.sort == "io")
    if not listed and len(asked) == 1:
        pid = asked.pop()
        await _visible(parts, session, pid)  # raises the reason: it may be a thread, or hidden
        raise NotFound(f"there is no process {pid} on this node now; `ps` lists what runs")
    chosen, matched = await selection.in_turns(
        parts.clock,
        listed,
        lambda process: process.where != 0 or trees.job_of(process.pid, parents) is not None,
    )
    rates = session.json or "read_rate" in fields or "write_rate" in fields
    shown: Sequence[Any] = seen_by(parts, caller, chosen, rates=rates)
    text = f"{len(shown)} of {len(listed)} processes" if selection.selects else f"{len(shown)} processes"
    if age > shown_age:
        shown = Aged(shown, age)
        text += f", as they were {age:.0f} s ago: they cannot be read now, the log says why"
    shown = await with_holdings(parts, caller, shown, fields)
    return _rows(text, shown, fields, matched if selection.selects else None)


def _rows(text: str, shown: Sequence[Any], fields: tuple[str, ...], told: int | None = None) -> Rows:
    if not fields:
        return Rows(text, shown, PROCESS_COLUMNS, matched=told)
    columns = tuple(FIELD_COLUMNS[name] for name in fields)
    return Rows(text, WithFields(shown, fields), columns, matched=told)


async def _ps_of_lost(
    parts: Parts, session: ISession, node: Node, arguments: tuple[str, ...]
) -> Reply | None:
    """Answer `@NODE ps --at T` for a node that cannot be reached."""
    return await remembered_ps(parts, session, node, arguments, ps)


async def _read_afresh(parts: Parts, pids: Sequence[int]) -> Sequence[Process]:
    """Return these processes and their ancestors as they are now; the table may be old."""
    found: dict[int, Process] = {}
    trees = JobTrees(parts.jobs.here())
    for pid in pids:
        try:
            line = await line_of(parts.collector, pid, trees)
        except NotFound:
            continue
        except (SourceUnavailable, TimedOut) as error:
            line = [
                each for each in (await parts.collector.processes(MAX_TABLE_AGE)).processes if each.pid == pid
            ]
            if not line:
                raise error
        found.update((process.pid, process) for process in line)
    return list(found.values())


async def _visible(parts: Parts, session: ISession, pid: int) -> Process:
    try:
        process = await parts.collector.process(pid)
    except NotFound:
        if parts.hides_others() and session.caller.role < Role.ADMIN:  # not even whose thread it is
            raise _no_process(pid) from None
        raise
    if not seen_by(parts, session.caller, [process]):
        raise _no_process(pid)
    return process


def _no_process(pid: int) -> NotFound:
    return NotFound(f"there is no process {pid} here: `ps` lists them")


async def where(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Answer with the node that a process runs on; with NODE, ask that node, the home of the process."""
    pid = words.pid(arguments[0])
    if len(arguments) > 1:
        home = parts.members.find(arguments[1])
        if home.id != parts.members.own_id:
            node = await parts.peers.cur_node(home, pid)
            return ValueReply(str(node), node)
    if (job := job_elsewhere(parts, pid)) is not None:
        if is_hidden(parts, job, session.caller):
            raise _no_process(pid)
        return ValueReply(str(job.node), job.node)
    process = await _visible(parts, session, parts.jobs.pid_here(pid))
    return ValueReply(str(process.node), process.node)


async def _act(parts: Parts, act: Callable[..., None], named: Named, number: int, caller: Caller) -> None:
    """Act on a process of this node, on a thread, because reading the process first may hang."""
    pid = parts.jobs.pid_here(named.pid)
    await parts.threads.run_apart(
        5.0, ("act", pid), ("actor", caller.uid), act, pid, number, caller, named.started
    )


def _elsewhere(parts: Parts, named: Named, caller: Caller) -> Job | None:
    """Return the caller's job if it runs on another node; not for a process that was found on this one."""
    return None if named.started is not None else own_job_elsewhere(parts, named.pid, caller)


async def signal(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Send a signal, as kill(1) would for this caller."""
    number = words.signal_number(arguments[1])
    named = await named_process(parts, session, "signal", arguments)
    if isinstance(named, Relayed):
        return named
    pid = named.pid
    if (job := _elsewhere(parts, named, session.caller)) is not None:
        await send_signal(parts, job, number, group=False)
    else:
        await _act(parts, parts.control.signal, named, number, session.caller)
    name = signals.Signals(number).name if number in set(signals.Signals) else f"signal {number}"
    return ValueReply(f"sent {name} to process {pid}", {"pid": pid, "signal": number})


async def renice(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Set the niceness, as renice(1) would for this caller."""
    nice = words.whole_number(arguments[1], "N", -20, 19)
    named = await named_process(parts, session, "renice", arguments)
    if isinstance(named, Relayed):
        return named
    pid = named.pid
    if (job := _elsewhere(parts, named, session.caller)) is not None:
        there = await pid_there(parts, job)
        request = Request("renice", (named.word if named.word == job.identity else there, str(nice)))
        reply = await parts.peers.ask(parts.members.find(str(job.node)), request, session.caller, False)
        if reply.code != OK:
            raise error_for(reply.code, reply.text)
    else:
        await _act(parts, parts.control.renice, named, nice, session.caller)
    return ValueReply(f"process {pid} has niceness {nice}", {"pid": pid, "nice": nice})


VERBS = (
    Verb(
        "ps",
        "[PID ...] [--top=N] [--sort=cpu|rss|time|io|pid|start] [--user=NAME] [--match=TEXT] [--jobs] "
        "[--fields=NAME,...] [--at=T] [--of=NODE]",
        Role.READ,
        "list all processes, or those with these ids; options select some, see docs/line.md",
        ps,
        fields=Process.JSON,
        slow=True,
        remembered=_ps_of_lost,
    ),
    Verb(
        "where", "PID [NODE]", Role.READ, "show the id of the node a process runs on; NODE is its home", where
    ),
    Verb("signal", "PID SIG", Role.USER, "send a signal by name or number; PID or identity", signal),
    Verb("renice", "PID N", Role.USER, "set the niceness, -20 to 19; PID or identity", renice),
)
