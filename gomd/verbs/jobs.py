"""The verbs about jobs: run, list, attach and signal them, whichever node they run on."""

from __future__ import annotations

import signal as signals

from gomd.verbs import arguments as words
from gomd.verbs.context import ISession, Parts
from gomd.verbs.remote_processes import send_signal
from gomd.verbs.replies import Reply, Rows, TextColumn, Upgrade, ValueReply
from gomd.verbs.table import Verb
from libgomd.errors import NotAllowed, NotFound
from libgomd.model import Caller, Job, Role
from libgomd.wire.job_name import JobName

JOB_COLUMNS = (
    TextColumn("JOB", 5, lambda job: str(job.job)),
    TextColumn("NODE", 5, lambda job: str(job.node)),
    TextColumn("PID", 7, lambda job: "-" if job.pid is None else str(job.pid)),
    TextColumn("USER", 10, lambda job: job.user, left=True),
    TextColumn("STATE", 8, lambda job: job.state.value, left=True),
    TextColumn("EXIT", 4, lambda job: "-" if job.exit is None else str(job.exit)),
    TextColumn("NMIGS", 5, lambda job: str(job.nmigs)),
    TextColumn("COMMAND", 1, lambda job: job.command, left=True),
)


def run(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Turn the connection into one of frames; the first one says what to run."""
    caller = session.caller
    guest = _guest(caller, arguments[0]) if arguments else ""
    return Upgrade("say what to run", lambda stream: parts.jobs.run(caller, stream, guest))


def attach(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Turn the connection into one of frames with the streams of a job."""
    if "-" in arguments[0]:
        caller, guest = session.caller, _guest(session.caller, arguments[0])
        parts.jobs.check_guest(caller, guest)
        return Upgrade(f"job {guest}", lambda stream: parts.jobs.attach_guest(caller, guest, stream))
    job = _job(parts, session, arguments[0])
    parts.jobs.check_attach(job)

    return Upgrade(f"job {job.job}", lambda stream: parts.jobs.attach(job, stream))


async def carry(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Bring the carried files of a job home that is over; between daemons: put, give or drop them."""
    if len(arguments) == 1:
        job = _job(parts, session, arguments[0])
        told = await parts.jobs.bring_home(job)
        return ValueReply(told or f"the carried files of job {job.job} are home", {"job": job.job})
    node, caller = words.peer(session.caller), session.caller
    name, step = str(JobName.parse(arguments[0])), arguments[1]
    parts.jobs.check_carry(caller, name, step, node)
    return Upgrade(f"carry {name}", lambda stream: parts.jobs.carry(caller, name, step, stream))


def jobs(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """List the caller's jobs, everybody's for an admin, and those that ended lately."""
    found = parts.jobs.rows(session.caller)
    return Rows(f"{len(found)} jobs", found, JOB_COLUMNS)


async def kill(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Send a signal to a whole job, TERM unless another is named."""
    job = _job(parts, session, arguments[0])
    number = words.signal_number(arguments[1] if len(arguments) > 1 else "TERM")
    await send_signal(parts, job, number, group=True)
    name = signals.Signals(number).name if number in set(signals.Signals) else f"signal {number}"
    return ValueReply(f"sent {name} to job {job.job}", {"job": job.job, "signal": number})


def _job(parts: Parts, session: ISession, word: str) -> Job:
    return job_of(parts, session.caller, words.whole_number(word, "JOB", 1, words.MAX_JOB))


def job_of(parts: Parts, caller: Caller, number: int) -> Job:
    """
    Return a job of ``caller``.

    Where /proc hides the processes of others, a job of another user is no more to be found than one that does
    not exist.

    :raises NotFound: there is none of that number. :raises NotAllowed: it is another user's.
    """
    try:
        return parts.jobs.find(number, caller)
    except NotAllowed:
        if parts.hides_others():
            raise NotFound(f"there is no job {number} here: `jobs` lists them") from None
        raise


def _guest(caller: Caller, word: str) -> str:
    """
    Return the name of a guest, ``HOME-JOB``, which only the daemon of its home may use.

    :raises NotAllowed: the caller is not that daemon.
    """
    job = JobName.parse(word)
    if caller.via != f"node {job.home}":
        raise NotAllowed("only a job's home may ask for this: use `gom run` or `gom attach` there")
    return str(job)


VERBS = (
    Verb(
        "run",
        "[HOME-JOB]",
        Role.USER,
        "run a command here or on another node; `gom run` says it",
        run,
        web="",
    ),
    Verb("jobs", "", Role.USER, "your jobs, everybody's for an admin", jobs, fields=Job.JSON, web="GET"),
    Verb(
        "attach", "JOB", Role.USER, "take up the streams of a job again; `gom attach` says it", attach, web=""
    ),
    Verb(
        "carry",
        "JOB [STEP]",
        Role.USER,
        "bring the carried files of a job that is over home",
        carry,
        patient=True,
    ),
    Verb("kill", "JOB [SIG]", Role.USER, "end a job, or send it another signal", kill),
)
