"""Sends the attached caller what a supervisor has for it: output, acknowledgements of input, exit status."""

from __future__ import annotations

from collections.abc import Mapping

from gomd.jobs.supervisor.control_socket import ControlSocket
from libgomd.wire import frames, job_messages
from libgomd.wire.job_end import JobEnd
from libgomd.wire.job_messages import JobExit
from libgomd.wire.resumable import Store


class CallerAttachment:
    """
    The caller's frames come and go over the daemon's connection.

    :param stores: where the outputs are kept, by the kind of their frames; empty: in memory.
    :ivar end: the job's end of the streams. :ivar exit: how the job ended, None while it runs.
    """

    def __init__(self, control: ControlSocket, stores: Mapping[int, Store]) -> None:
        self._control = control
        self.end = JobEnd(dict(stores))
        self.exit: JobExit | None = None
        self._exit_told = False

    @property
    def attached(self) -> bool:
        """Whether a caller is attached."""
        return self.end.attached

    def attach(self, wanted: frames.AttachRequest) -> None:
        """Begin a new attachment."""
        self._exit_told = False
        self._control.send(self.end.attach(wanted))

    def detach(self) -> None:
        """Send no more output: the caller is gone, and the daemon is not."""
        self.end.detach()

    def note_stop(self, stop: int) -> None:
        """
        Take note of whether the job is stopped, and tell a caller who wants to hear that it has stopped.

        The caller is told to attach again; the answer to that says it.

        :param stop: as in `libgomd.wire.attachment.Attached.stop`.
        """
        news = stop and stop != self.end.stop
        self.end.stop = stop
        if news and self.attached and self.end.tells_stops:
            self.detach()
            self._control.send(frames.encode(frames.RESUME))

    def connection_lost(self) -> None:
        """Forget the caller: whoever connects next is told everything anew."""
        self.end.detach()
        self._exit_told = False

    def send(self) -> bool:
        """
        Send what the daemon's connection takes now.

        :returns: False when the connection has ended.
        """
        if self.attached and self.end.overtaken:
            self.detach()
            self._control.send(frames.encode(frames.RESUME))
        for part in self.end.output_to_send(self._control.room):
            self._control.send(part)
        self._control.send(self.end.input_acknowledgement())
        self.send_exit()
        return self._control.flush()

    def send_exit(self) -> None:
        """Tell how the job ended, behind everything that it wrote; at once when no caller is attached."""
        if self.exit is None or self._exit_told:
            return
        if not self.attached or self.end.drained:
            self._exit_told = True
            self._control.send(job_messages.encode(self.exit))
