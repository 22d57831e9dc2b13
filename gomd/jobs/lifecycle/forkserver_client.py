"""The daemon's end of the fork server, which is started with the first job and again when it has ended."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, ClassVar

from twisted.internet.protocol import Factory
from twisted.logger import Logger

from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.spare_supervisor import MountTable, SpareSupervisor
from gomd.jobs.supervisor.kinds import NAMESPACE, PLAIN
from libgomd.errors import GomdError, InternalError, TooMany
from libgomd.private import make_private_directory

#: The directory that `gomd` and `libgomd` are in.
_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
#: A pipe in the place of the log is refused at once instead of waited for.
_LOG = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PROGRAM = "import sys; sys.path.append({!r}); from gomd.jobs.supervisor.forkserver import main; main()"


class ForkServerClient:
    """
    Starts supervisors, and connects to them.

    :param reactor: gets their connections. :param log: the file for what supervisors write to standard error.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, reactor: Any, log: str) -> None:
        self._reactor = reactor
        self._log_path = log
        self._socket: socket.socket | None = None
        self._log_file = -1
        self._pid = 0
        self._spares: dict[bool, SpareSupervisor] = {}

    @property
    def is_ready(self) -> bool:
        """Whether the next supervisor needs nothing of the disk."""
        return self._log_file >= 0

    def prepare(self) -> None:
        """
        Make the directory of jobs and open the log in it. Blocks, as long as that disk does: use a thread.

        :raises InternalError: they cannot be used.
        """
        directory = os.path.dirname(self._log_path)
        try:
            make_private_directory(directory)
            opened = os.open(self._log_path, _LOG, 0o600)
        except OSError as error:
            raise InternalError(
                f"[jobs] spool {directory} or the file log in it cannot be used: {error.strerror}"
            ) from error
        if self._log_file < 0:
            self._log_file = opened
        else:
            os.close(opened)  # another start was faster

    def supervisor(self, namespace: bool) -> FrameStream:
        """
        Return the connection to a supervisor that waits for its `SPEC`: the spare one, or a new one.

        :param namespace: the supervisor gets namespaces of its own, where the kernel allows that.
        :raises InternalError: the fork server cannot be started. :raises TooMany: it is too busy.
        """
        spare = self._spares.get(namespace)
        return (spare.take() if spare is not None else None) or self._fork(namespace)

    def keep_spare(self, namespace: bool) -> None:
        """
        Have a supervisor made that waits for the next job, unless one does.

        It ends with the daemon. That it cannot be made is no error: the next job will say so.
        """
        spare = self._spares.get(namespace)
        if spare is None:
            spare = SpareSupervisor(lambda: self._fork(namespace), MountTable())
            self._spares[namespace] = spare
        with suppress(GomdError):
            spare.make()

    def _fork(self, namespace: bool) -> FrameStream:
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            self._pass_on(there, NAMESPACE if namespace else PLAIN)
            return self._adopt(here)

    def _pass_on(self, connection: socket.socket, kind: bytes) -> None:
        for _attempt in (1, 2):
            if self._socket is None:
                self._start()
            assert self._socket is not None
            try:
                socket.send_fds(self._socket, [kind], [connection.fileno()])
                return
            except BlockingIOError:
                raise TooMany("too many jobs are being started at this moment: try again") from None
            except OSError as error:
                self._log.warn("the fork server of jobs has ended, starting it again: {error}", error=error)
                self.close()
        raise InternalError("the fork server of jobs does not start: read the file log in [jobs] spool")

    def _adopt(self, connection: socket.socket) -> FrameStream:
        stream = FrameStream()
        factory = Factory.forProtocol(lambda: stream)
        factory.noisy = False
        self._reactor.adoptStreamConnection(connection.fileno(), socket.AF_UNIX, factory)
        return stream

    def connect(self, path: str) -> FrameStream:
        """
        Return a connection to the supervisor that listens at ``path``, however long the path is.

        :raises OSError: none listens there.
        """
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.setblocking(False)
                connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
                return self._adopt(connection)
        finally:
            os.close(directory)

    def _start(self) -> None:
        if not self.is_ready:
            self.prepare()
        here, there = socket.socketpair()
        with there:
            try:
                self._pid = os.posix_spawn(
                    sys.executable,
                    [sys.executable, "-I", "-S", "-c", _PROGRAM.format(_ROOT)],
                    {"PATH": os.defpath},
                    file_actions=_files(there.fileno(), self._log_file),
                    setsid=True,
                    setsigmask=(),
                    setsigdef=(signal.SIGHUP, signal.SIGINT, signal.SIGTERM),
                )
            except OSError as error:
                here.close()
                raise InternalError(f"the fork server of jobs cannot be started: {error.strerror}") from error
        here.setblocking(False)
        self._socket = here

    def close(self) -> None:
        """Let the fork server end; supervisors go on, but for the spare one."""
        for spare in self._spares.values():
            spare.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            try:
                os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:
                pass


def _files(connection: int, log: int) -> list[tuple[Any, ...]]:
    return [
        (os.POSIX_SPAWN_DUP2, connection, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, log, 2),
    ]
