"""The verbs about processes: which there are, where they run, and what their owners do to them."""

from __future__ import annotations

import signal as signals
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import overload

from gomd.jobs.ownership import Families, annotate, line_of
from gomd.verbs import arguments as words
from gomd.verbs.context import ISession, Parts
from gomd.verbs.remote_processes import (
    job_elsewhere,
    own_job_elsewhere,
    pid_there,
    processes_elsewhere,
    send_signal,
)
from gomd.verbs.replies import Column, Reply, Rows, ValueReply
from gomd.verbs.table import Verb
from libgomd.errors import NotFound, SourceUnavailable, TimedOut, error_for
from libgomd.model import Caller, Process, Role
from libgomd.wire.lines import OK, Request

#: The process table is scanned again before it is shown when it is older than this, in seconds.
FRESH = 1.0
#: Seconds after which a table is not shown without its age: more than a scan takes.
STALE = 2.0
#: So many processes that are asked for by their ids are read one by one, as they are now.
READ_AFRESH = 16


def _size(count: int | None) -> str:
    """Kilobytes, as ps shows them."""
    return "-" if count is None else str(count // 1024)


def _time(process: Process) -> str:
    if process.cpu_seconds is None:
        return "-"
    whole = int(process.cpu_seconds)
    return f"{whole // 60}:{whole % 60:02d}" if whole < 86400 else str(timedelta(seconds=whole))


def _percent(process: Process) -> str:
    return "-" if process.cpu_percent is None else f"{process.cpu_percent:.1f}"


PROCESS_COLUMNS = (
    Column("NODE", 5, lambda process: str(process.node)),
    Column("PID", 7, lambda process: str(process.pid)),
    Column("PPID", 7, lambda process: str(process.ppid)),
    Column("USER", 10, lambda process: process.user, left=True),
    Column("STAT", 4, lambda process: f"{process.state}!" if process.stuck else process.state, left=True),
    Column("NI", 3, lambda process: "-" if process.nice is None else str(process.nice)),
    Column("THR", 4, lambda process: "-" if process.threads is None else str(process.threads)),
    Column("%CPU", 5, _percent),
    Column("TIME", 8, _time),
    Column("RSS", 8, lambda process: _size(process.rss)),
    Column("VSZ", 10, lambda process: _size(process.vsize)),
    Column("NMIGS", 5, lambda process: str(process.nmigs)),
    Column("LOCK", 4, lambda process: str(int(process.lock))),
    Column("CANTMOVE", 10, lambda process: process.cantmove or "-", left=True),
    Column("COMMAND", 1, lambda process: process.command, left=True),
)


class _Shown(Sequence[Process]):
    """
    Processes with something taken away or added row by row as they are shown: for thousands at once that
    would hold up every other connection for a tenth of a second.
    """

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes

    def __len__(self) -> int:
        return len(self._processes)

    @overload
    def __getitem__(self, at: int) -> Process: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Process]: ...
    def __getitem__(self, at: int | slice) -> Process | Sequence[Process]:
        if isinstance(at, slice):
            return [self._seen(process) for process in self._processes[at]]
        return self._seen(self._processes[at])

    def _seen(self, process: Process) -> Process:
        raise NotImplementedError


class _AsSeen(_Shown):
    """Less what is their owners' business."""

    def __init__(self, processes: Sequence[Process], caller: Caller) -> None:
        super().__init__(processes)
        self._caller = caller

    def _seen(self, process: Process) -> Process:
        if self._caller.owns(process.uid) or (process.read_rate is None and process.write_rate is None):
            return process
        return replace(process, read_rate=None, write_rate=None)


class Aged(_Shown):
    """With the age of the table they are from: ``seconds``, and more when they were not read for it."""

    def __init__(self, processes: Sequence[Process], seconds: float) -> None:
        super().__init__(processes)
        self._seconds = seconds

    def _seen(self, process: Process) -> Process:
        if process.stuck and process.age is None:
            return process  # it was never read
        return replace(process, age=round(self._seconds + (process.age or 0.0), 1))


def seen_by(parts: Parts, caller: Caller, found: Sequence[Process], rates: bool = True) -> Sequence[Process]:
    """
    Return of ``found`` what the kernel would show ``caller``, as it would show it.

    Rates of reading and writing are the owner's business; with ``hidepid`` the process itself is.

    :param rates: whether they are going to be shown at all; the columns of text have none.
    """
    if caller.role >= Role.ADMIN:
        return found
    if parts.hides_others():
        found = [process for process in found if caller.owns(process.uid)]
    return _AsSeen(found, caller) if rates else found


async def ps(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Every process, or those asked for."""
    asked = {words.pid(text) for text in arguments}
    wanted = sorted(asked | {parts.jobs.pid_here(pid) for pid in asked})
    if 0 < len(wanted) <= READ_AFRESH:
        here, age = await _read_afresh(parts, wanted), 0.0
    else:
        table = await parts.collector.processes(FRESH)
        here, age = table.processes, max(0.0, parts.clock.seconds() - table.read_at)
    everything = annotate(here, parts.jobs.here(), parts.members.own_id)
    everything += await processes_elsewhere(parts)
    found = [process for process in everything if not wanted or process.pid in wanted]
    if not found and len(asked) == 1:
        pid = asked.pop()
        await _visible(parts, session, pid)  # says why not: a thread is no process
        raise NotFound(f"there is no process {pid} on this node now; `ps` lists what runs")
    shown: Sequence[Process] = seen_by(parts, session.caller, found, rates=session.json)
    text = f"{len(shown)} processes"
    if age > STALE:
        shown = Aged(shown, age)
        text += f", as they were {age:.0f} s ago: reading them fails or takes long, the log says why"
    return Rows(text, shown, PROCESS_COLUMNS)


async def _read_afresh(parts: Parts, pids: Sequence[int]) -> Sequence[Process]:
    """Return these processes, and those they come from, as they are this moment; the table may be old."""
    found: dict[int, Process] = {}
    families = Families(parts.jobs.here())
    for pid in pids:
        try:
            line = await line_of(parts.collector, pid, families)
        except NotFound:
            continue
        except (SourceUnavailable, TimedOut) as error:
            line = [each for each in (await parts.collector.processes(FRESH)).processes if each.pid == pid]
            if not line:
                raise error
        found.update((process.pid, process) for process in line)
    return list(found.values())


async def _visible(parts: Parts, session: ISession, pid: int) -> Process:
    try:
        process = await parts.collector.process(pid)
    except NotFound:
        if parts.hides_others() and session.caller.role < Role.ADMIN:  # nor whose thread it is
            raise NotFound(f"there is no process {pid} here: `ps` lists them") from None
        raise
    if not seen_by(parts, session.caller, [process]):
        raise NotFound(f"there is no process {pid} here: `ps` lists them")
    return process


async def where(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """The id of the node a process runs on; with NODE that one is asked, as the home of the process."""
    pid = words.pid(arguments[0])
    if len(arguments) > 1:
        home = parts.members.find(arguments[1])
        if home.id != parts.members.own_id:
            node = await parts.peers.cur_node(home, pid)
            return ValueReply(str(node), node)
    if (job := job_elsewhere(parts, pid)) is not None:
        return ValueReply(str(job.node), job.node)
    process = await _visible(parts, session, parts.jobs.pid_here(pid))
    return ValueReply(str(process.node), process.node)


async def _act(parts: Parts, act: Callable[..., None], pid: int, number: int, caller: Caller) -> None:
    """Do something to a process of this node. What is read of it first may hang."""
    await parts.threads.run_apart(5.0, ("act", pid), ("actor", caller.uid), act, pid, number, caller)


async def signal(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Send a signal, as kill(1) would for this caller."""
    pid, number = words.pid(arguments[0]), words.signal_number(arguments[1])
    if (job := own_job_elsewhere(parts, pid, session.caller)) is not None:
        await send_signal(parts, job, number, group=False)
    else:
        await _act(parts, parts.control.signal, parts.jobs.pid_here(pid), number, session.caller)
    name = signals.Signals(number).name if number in set(signals.Signals) else f"signal {number}"
    return ValueReply(f"sent {name} to process {pid}", {"pid": pid, "signal": number})


async def renice(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Set the niceness, as renice(1) would for this caller."""
    pid, nice = words.pid(arguments[0]), words.whole_number(arguments[1], "N", -20, 19)
    if (job := own_job_elsewhere(parts, pid, session.caller)) is not None:
        request = Request("renice", (await pid_there(parts, job), str(nice)))
        reply = await parts.peers.ask(parts.members.find(str(job.node)), request, session.caller, False)
        if reply.code != OK:
            raise error_for(reply.code, reply.text)
    else:
        await _act(parts, parts.control.renice, parts.jobs.pid_here(pid), nice, session.caller)
    return ValueReply(f"process {pid} has niceness {nice}", {"pid": pid, "nice": nice})


VERBS = (
    Verb("ps", "[PID ...]", Role.READ, "processes, all or some", ps, fields=Process.JSON, slow=True),
    Verb("where", "PID [NODE]", Role.READ, "the id of the node a process runs on; NODE is its home", where),
    Verb("signal", "PID SIG", Role.USER, "send a signal by name or number", signal),
    Verb("renice", "PID N", Role.USER, "set the niceness, -20 to 19", renice),
)
