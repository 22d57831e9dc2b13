"""
How a job's program begins: in namespaces of its own where that is allowed, as its user, with nothing open
but its three streams.

As root the supervisor is number 1 of a PID namespace and the program its child there, so that the job's
process ids can be had again wherever it moves; docs/migration.md says what else criu asks for. A mount
namespace goes with it, for a /proc that knows the same numbers. When the supervisor ends, the kernel ends
the job.

Standard library only: this runs in the supervisor and its child.
"""

from __future__ import annotations

import encodings.ascii  # noqa: F401 - else open() imports it anew in every supervisor
import errno
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, NoReturn

from gomd.jobs.checkpoint.process_tree import set_next_pid
from gomd.jobs.supervisor.attributes import (
    CannotReset,
    close_all_but,
    reset_after,
    reset_before,
    reset_signals,
)
from gomd.jobs.supervisor.cgroups import JobGroup, NoLimit
from gomd.jobs.supervisor.kernel import (
    become_subreaper,
    end_with_parent,
    mount_own_proc,
    unshare_pids_and_mounts,
)
from libgomd.wire.job_messages import JobSpec

#: Exit statuses of a shell for a program that cannot be started.
NOT_EXECUTABLE, NOT_FOUND = 126, 127
#: Where the process ids of a job begin in its namespace; whatever else gomd starts there comes far above.
FIRST_PID = 300
_REPORT_LIMIT = 4000
#: Seconds a program may take to begin: its directory may be on a file system that does not answer, which
#: is its user's affair, and must not keep others from starting jobs.
BEGIN_LIMIT = 30.0


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

    :ivar namespace: whether it is number 1 of a PID namespace. :ivar why_not: the kernel's reason.
    :ivar pid: its process id as the machine knows it. :ivar proc: an open directory: the machine's /proc.
    """

    namespace: bool
    why_not: str
    pid: int
    proc: int


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
        heard = os.read(reading, _REPORT_LIMIT) if not why_not else b""
        os.close(reading)
        if heard == b"ready":
            os._exit(0)  # it goes on inside
        why_not = why_not or f"no PID namespace: {heard.decode('utf-8', 'replace') or 'it ended'}"
    become_subreaper()
    work(SupervisorEnvironment(False, why_not, os.getpid(), proc))
    os._exit(0)


def _enclosed(work: Callable[[SupervisorEnvironment], None], proc: int, report: int) -> str:
    """Fork number 1, which does ``work`` and never returns; return why it could not be, or nothing."""
    try:
        unshare_pids_and_mounts()
        pid = os.fork()
    except OSError as error:
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
    work(SupervisorEnvironment(True, "", outside, proc))
    os._exit(0)


class Program(NamedTuple):
    """A program that runs: its process id here, where it is a child, and as the machine knows it."""

    pid: int
    outside: int


def begin(
    spec: JobSpec,
    streams: tuple[int, int, int],
    environment: SupervisorEnvironment,
    group: JobGroup | None = None,
) -> Program:
    """
    Start the program of ``spec`` with ``streams`` as its standard input, output and error. Blocks briefly.

    :param group: the cgroup it is to be in, None where there is none.
    :raises CannotStart: nothing runs.
    """
    if environment.namespace:
        with suppress(OSError):  # a kernel without CONFIG_CHECKPOINT_RESTORE: nothing moves there anyway
            set_next_pid(FIRST_PID)
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise CannotStart(429, f"no process can be made on {spec.where} now: {error.strerror}") from error
    if pid == 0:
        try:
            _program(spec, streams, environment, group, writing)
        finally:
            os._exit(NOT_EXECUTABLE)
    os.close(writing)
    try:
        heard = hear(reading, BEGIN_LIMIT)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)  # not waited for: what does not answer may keep it
        raise CannotStart(
            504, f"the directory or the program did not answer on {spec.where} within {BEGIN_LIMIT:g} s"
        ) from None
    finally:
        os.close(reading)
    outside, _, refusal = heard.decode("utf-8", "backslashreplace").partition("!")
    if outside and not refusal:
        return Program(pid, int(outside))
    os.waitpid(pid, 0)
    code, _, text = refusal.partition(" ")
    raise CannotStart(int(code or 500), text or "it ended before the program began")


def hear(reading: int, limit: float) -> bytes:
    """
    Return what a child reports, to its end. Blocks.

    :raises TimeoutError: the end does not come within ``limit`` seconds.
    """
    heard, end = b"", time.monotonic() + limit
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while poll.poll(max(0.0, end - time.monotonic()) * 1000):
        data = os.read(reading, _REPORT_LIMIT)
        if not data:
            return heard
        heard += data
    raise TimeoutError


def _program(
    spec: JobSpec,
    streams: tuple[int, int, int],
    environment: SupervisorEnvironment,
    group: JobGroup | None,
    report: int,
) -> None:
    """Become the program, or say why not."""
    os.setsid()
    try:
        os.write(report, os.readlink("self", dir_fd=environment.proc).encode())
        if spec.tty:
            import fcntl
            import termios

            fcntl.ioctl(streams[0], termios.TIOCSCTTY, 0)
        for descriptor, stream in enumerate(streams):
            os.dup2(stream, descriptor)
        close_all_but((0, 1, 2, report, environment.proc))
        if group is not None:
            group.enter()
        has_keyring = reset_before(spec.uid, spec.gid, environment.proc)
        os.close(environment.proc)
        _become(spec)
        if not environment.namespace:  # there the kernel does it by itself
            end_with_parent(signal.SIGKILL)
        reset_after(spec.uid, has_keyring)
        reset_signals()
        _enter_directory(spec)
        _execute(spec.argv, spec.env)
    except CannotStart as error:
        text = f"!{error.code} {error}"
    except NoLimit as error:
        text = f"!405 its memory cannot be limited on {spec.where}: {error}"
    except CannotReset as error:
        text = f"!500 {error}"
    except Exception as error:  # noqa: BLE001 - the edge of the process: the supervisor tells the caller
        text = f"!500 {type(error).__name__}: {error}"
    os.write(report, text.encode("utf-8", "backslashreplace")[:_REPORT_LIMIT])


def _become(spec: JobSpec) -> None:
    """Be the user."""
    if os.geteuid() == 0:
        os.setgroups(spec.groups)
        os.setresgid(spec.gid, spec.gid, spec.gid)
        os.setresuid(spec.uid, spec.uid, spec.uid)
    os.umask(spec.umask)


def _enter_directory(spec: JobSpec) -> None:
    """Be in the user's directory. :raises CannotStart: there is no such directory for him."""
    cwd = spec.cwd
    try:
        os.chdir(os.fsencode(cwd))
    except PermissionError:
        raise CannotStart(403, f"the directory {cwd} is closed to {spec.user} on {spec.where}") from None
    except OSError as error:
        raise CannotStart(404, f"no directory {cwd} on {spec.where} ({error.strerror})") from None


def _execute(argv: tuple[str, ...], env: Mapping[str, str]) -> NoReturn:
    """Execute the program, looked for as a shell does. :raises CannotStart: it cannot be executed."""
    name = argv[0]
    places = [name] if "/" in name else [
        os.path.join(directory, name) for directory in (env.get("PATH") or os.defpath).split(":")
    ]  # fmt: skip
    refused = ""
    for place in places:
        try:
            os.execve(place, argv, env)  # noqa: S606 - it is what a job is
        except OSError as error:
            if os.path.lexists(place):  # a directory of PATH that is closed to the user is as good as empty
                if error.errno in (errno.ENOENT, errno.ELOOP):
                    raise CannotStart(NOT_FOUND, f"{place}: the interpreter it names is not here") from None
                refused = refused or f"{place}: {error.strerror}"
    if refused:
        raise CannotStart(NOT_EXECUTABLE, refused)
    raise CannotStart(NOT_FOUND, f"{name}: command not found")
