"""
Starts a job's program: in namespaces of its own where that is allowed, as its user, with nothing open but
its three streams.

As root the supervisor is process 1 of a PID namespace and the program its child there, so that the job can
have the same process ids wherever it moves; docs/migration.md says what else criu needs. A mount namespace
belongs to it, for a /proc with the same process ids. When the supervisor ends, the kernel ends the job.

Standard library only: this runs in the supervisor and its child.
"""

from __future__ import annotations

import encodings.ascii  # noqa: F401 - else open() would import it again in every supervisor
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, NoReturn

from gomd.jobs.checkpoint.process_tree import set_next_pid
from gomd.jobs.supervisor.attributes import (
    CannotReset,
    close_all_but,
    gain_no_rights,
    limit_as_caller,
    reset_after,
    reset_before,
    reset_signals,
)
from gomd.jobs.supervisor.execute import NOT_EXECUTABLE, CannotExecute, execute
from gomd.jobs.supervisor.job_group import JobGroup, NoLimit
from gomd.jobs.supervisor.kernel import (
    become_subreaper,
    end_with_parent,
    mount_own_proc,
    mount_own_terminals,
    unshare_ipc,
    unshare_pids_and_mounts,
)
from gomd.jobs.supervisor.named_paths import with_own_tmpdir
from libgomd.wire.job_messages import SpawnSpec

#: Where the first process ids of jobs in their namespaces begin, and how many there are. Other processes that
#: gomd starts there come far above, also where the kernel has no ids beyond 32,768.
_LOWEST_PID = 300
_FIRST_PIDS = 20011
#: Bytes of what a child reports.
_MAX_REPORT_BYTES = 4000
#: Bytes of /proc/PID/stat that are read, and where its start time stands behind the name of the program.
_MAX_STAT_BYTES = 4096
_STARTED_FIELD = 19
#: Seconds a program may take to begin. Its directory may be on a file system that does not answer, and that
#: must not keep other users from starting jobs.
START_TIMEOUT = 30.0


class CannotStart(Exception):
    """
    The program cannot be started; the text says why.

    :ivar code: 127 no such program, 126 it cannot be executed, 404 no such directory, 403, 500.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class SupervisorEnvironment(NamedTuple):
    """
    Where a supervisor runs.

    :ivar namespace: whether it is process 1 of a PID namespace. :ivar why_not: the kernel's reason.
    :ivar pid: its process id as the machine knows it. :ivar proc: an open directory: the machine's /proc.
    :ivar mounts: the mountinfo of the machine, open; -1 where this is in the machine's mount namespace.
    :ivar terminals: whether its namespaces have a /dev/pts of their own. The supervisor is then the session
        leader of its job's terminal, which moves with the job.
    """

    namespace: bool
    why_not: str
    pid: int
    proc: int
    terminals: bool = False
    mounts: int = -1


def enclose(work: Callable[[SupervisorEnvironment], None], namespace: bool) -> NoReturn:
    """
    Do ``work`` in namespaces of its own where the kernel allows it, else without them; never returns.

    The caller is a child that was forked for this.
    """
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    why_not = "the daemon does not run as root"
    if namespace:
        reading, writing = os.pipe()
        why_not = _enclosed(work, proc, writing)
        os.close(writing)
        report_text = os.read(reading, _MAX_REPORT_BYTES) if not why_not else b""
        os.close(reading)
        if report_text == b"ready":
            os._exit(0)  # it goes on inside
        why_not = why_not or f"no PID namespace: {report_text.decode('utf-8', 'replace') or 'it ended'}"
    become_subreaper()
    work(SupervisorEnvironment(False, why_not, os.getpid(), proc))
    os._exit(0)


def _enclosed(work: Callable[[SupervisorEnvironment], None], proc: int, report: int) -> str:
    """Fork process 1, which does ``work`` and never returns; return why that failed, or an empty string."""
    mounts = -1
    try:
        mounts = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        unshare_pids_and_mounts()
        pid = os.fork()
    except OSError as error:
        if mounts >= 0:
            os.close(mounts)
        return f"no PID namespace: {error.strerror}"
    if pid:
        return ""
    try:
        os.setsid()
        outside = int(os.readlink("self", dir_fd=proc))
        mount_own_proc()
    except OSError as error:
        os.write(report, str(error.strerror).encode())
        os._exit(1)
    os.write(report, b"ready")
    os.close(report)
    try:
        work(SupervisorEnvironment(True, "", outside, proc, has_own_terminals(), mounts))
    finally:
        # As the leader of a terminal's session ends, the kernel sends the job SIGHUP and SIGCONT, before it
        # ends it with its namespace. A job that was killed before does not run once more.
        end_all_others()
    os._exit(0)


def has_own_terminals() -> bool:
    """Mount a /dev/pts for this mount namespace alone; return whether there is one now."""
    try:
        mount_own_terminals()
    except OSError:
        return False
    return True


def end_all_others() -> None:
    """Kill every process of this PID namespace but process 1, which has to be the caller."""
    if os.getpid() == 1:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)


def first_pid(job: str) -> int:
    """
    Return the first process id of a job in its namespace, other ones for other jobs as far as there are any.

    Programs make names of their process id, and two jobs may share a directory.

    :param job: ``HOME-JOB``.
    """
    home, _, number = job.partition("-")
    # Both factors are prime to the count: neighbouring jobs are far apart, and no two in a row are equal.
    return _LOWEST_PID + (int(home) * 4673 + int(number) * 7919) % _FIRST_PIDS


class Program(NamedTuple):
    """
    A program that runs: its process id here, where it is a child, and as the machine knows it.

    :ivar started: when it did, in clock ticks after the boot; 0 when that is not known.
    """

    pid: int
    outside: int
    started: int = 0


def begin(
    spec: SpawnSpec,
    streams: tuple[int, int, int],
    environment: SupervisorEnvironment,
    group: JobGroup | None = None,
    own_tmp: bool = False,
) -> Program:
    """
    Start the program that ``spec`` describes, with ``streams`` as its standard streams. Blocks briefly.

    :param group: its cgroup, None where there is none. :param own_tmp: /tmp is its own: TMPDIR says so.
    :raises CannotStart: nothing runs.
    """
    if environment.namespace:
        with suppress(OSError):  # a kernel without CONFIG_CHECKPOINT_RESTORE: nothing moves there anyway
            set_next_pid(first_pid(spec.id))
    reading, writing = os.pipe()
    try:
        pid, inside = (os.fork(), False) if group is None else group.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise CannotStart(429, f"no process can be made on {spec.where} now: {error.strerror}") from error
    if pid == 0:
        try:
            _run_program(spec, streams, environment, None if inside else group, writing, own_tmp)
        finally:
            os._exit(NOT_EXECUTABLE)
    os.close(writing)
    try:
        report_text = read_report(reading, START_TIMEOUT)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)  # not waited for: the file system may keep it for ever
        raise CannotStart(
            504, f"the directory or the program did not answer on {spec.where} within {START_TIMEOUT:g} s"
        ) from None
    finally:
        os.close(reading)
    outside, _, refusal = report_text.decode("utf-8", "backslashreplace").partition("!")
    if outside and not refusal:
        return Program(pid, *map(int, outside.split()))
    os.waitpid(pid, 0)
    code, _, text = refusal.partition(" ")
    raise CannotStart(int(code or 500), text or "it ended before the program began")


def read_report(reading: int, limit: float) -> bytes:
    """
    Return what a child reports before it closes its end of the pipe. Blocks.

    :raises TimeoutError: it does not close it within ``limit`` seconds.
    """
    report_text, end = b"", time.monotonic() + limit
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while poll.poll(max(0.0, end - time.monotonic()) * 1000):
        data = os.read(reading, _MAX_REPORT_BYTES)
        if not data:
            return report_text
        report_text += data
    raise TimeoutError


def _run_program(
    spec: SpawnSpec,
    streams: tuple[int, int, int],
    environment: SupervisorEnvironment,
    group: JobGroup | None,
    report: int,
    own_tmp: bool,
) -> None:
    """Become the program, or report why that failed."""
    if spec.tty:  # in this process's session: see `pipes.hold_terminal`
        os.setpgid(0, 0)
        os.tcsetpgrp(streams[0], os.getpid())
    else:
        os.setsid()
    try:
        own, started = os.readlink("self", dir_fd=environment.proc), _started(environment.proc)
        os.write(report, f"{own} {started}".encode())
        for descriptor, stream in enumerate(streams):
            os.dup2(stream, descriptor)
        close_all_but((0, 1, 2, report, environment.proc))
        if group is not None:
            group.enter()
        if environment.namespace:
            with suppress(OSError):  # a kernel without such namespaces
                unshare_ipc()  # the supervisor stays outside: criu carries over only what it does not share
        has_keyring = reset_before(spec.uid, spec.gid, environment.proc, spec.nice, spec.limits)
        os.close(environment.proc)
        _become(spec)
        if not environment.namespace:  # there the kernel does it by itself
            end_with_parent(signal.SIGKILL)
        reset_after(spec.uid, has_keyring)
        if spec.carry and spec.uid:
            gain_no_rights()  # see carried_mounts
        reset_signals()
        _enter_directory(spec)
        limit_as_caller(spec.limits or {})
        execute(spec.argv, with_own_tmpdir(spec.env) if own_tmp else spec.env)
    except (CannotStart, CannotExecute) as error:
        text = f"!{error.code} {error}"
    except NoLimit as error:
        text = f"!405 its memory cannot be limited on {spec.where}: {error}"
    except CannotReset as error:
        text = f"!500 {error}"
    except Exception as error:  # noqa: BLE001 - the edge of the process: the supervisor tells the caller
        text = f"!500 {type(error).__name__}: {error}"
    os.write(report, text.encode("utf-8", "backslashreplace")[:_MAX_REPORT_BYTES])


def _started(proc: int) -> int:
    """Return when this process started, in clock ticks after the boot; 0 when /proc does not tell."""
    try:
        with open(os.open("self/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc), "rb") as file:
            return int(file.read(_MAX_STAT_BYTES).rpartition(b")")[2].split()[_STARTED_FIELD])
    except (OSError, ValueError, IndexError):
        return 0


def _become(spec: SpawnSpec) -> None:
    """Take on the ids of the job's user."""
    if os.geteuid() == 0:
        os.setgroups(spec.groups)
        os.setresgid(spec.gid, spec.gid, spec.gid)
        os.setresuid(spec.uid, spec.uid, spec.uid)
    os.umask(spec.umask)


def _enter_directory(spec: SpawnSpec) -> None:
    """Change to the job's directory. :raises CannotStart: the user has no such directory."""
    cwd = spec.cwd
    try:
        os.chdir(os.fsencode(cwd))
    except PermissionError:
        raise CannotStart(403, f"the directory {cwd} is closed to {spec.user} on {spec.where}") from None
    except OSError as error:
        raise CannotStart(404, f"no directory {cwd} on {spec.where} ({error.strerror})") from None
