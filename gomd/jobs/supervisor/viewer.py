"""Shows a caller the kept output of a detached job that runs elsewhere or has ended. Runs nothing itself."""

from __future__ import annotations

import select

from gomd.jobs.supervisor.attach import CallerAttachment
from gomd.jobs.supervisor.control_socket import ControlSocket
from gomd.jobs.supervisor.file_store import FileStore
from gomd.jobs.supervisor.job_directory import JobDirectory
from gomd.jobs.supervisor.lingering import LINGER_TIMEOUT
from libgomd.wire import frames
from libgomd.wire.attachment import OUTPUTS
from libgomd.wire.job_messages import ViewSpec

#: Milliseconds between two reads of the files, which another process writes.
_REFRESH_INTERVAL_MS = 100


class OutputViewer:
    """
    Serves one connection, to its end.

    :param spec: whose output. :param control: the daemon's connection.
    """

    def __init__(self, spec: ViewSpec, control: ControlSocket) -> None:
        self._control = control
        self._directory = JobDirectory(spec.directory)
        self._stores = {
            kind: FileStore(self._directory.descriptor, name, spec.spool_bytes)
            for kind, name in OUTPUTS.items()
        }
        self._attachment = CallerAttachment(control, self._stores)
        self._collected = False

    def run(self, received: list[frames.Frame]) -> None:
        """
        Show the output until the caller has all of it, or is gone. Blocks.

        :param received: frames that came behind the description.
        """
        self._refresh()
        for frame in received:
            self._take(frame)
        while self._attachment.send() and self._control.connection is not None and not self._collected:
            poll = select.poll()
            self._control.register(poll)
            ready = dict(poll.poll(self._milliseconds_to_wait()))
            if not ready and self._attachment.exit is not None:
                return  # nobody wants it
            self._control.receive(ready, self._take)
            self._refresh()

    def _milliseconds_to_wait(self) -> int | None:
        if self._attachment.exit is None:
            return _REFRESH_INTERVAL_MS
        return None if self._attachment.attached else int(LINGER_TIMEOUT * 1000)

    def _refresh(self) -> None:
        """Read how far the job is. The exit status comes first: no output is written behind it."""
        if self._attachment.exit is None:
            self._attachment.exit = self._directory.read_exit()
            for store in self._stores.values():
                store.refresh()

    def _take(self, frame: frames.Frame) -> None:
        """Do what a frame asks for. There is nothing here that takes signals, and input is dropped."""
        kind, payload = frame
        if kind == frames.ACK:
            self._attachment.end.acknowledge(payload)
        elif kind == frames.ATTACH:
            wanted = frames.decode_attach(payload)
            if wanted.detach:
                self._attachment.detach()
            else:
                self._attachment.attach(wanted)
        elif kind == frames.STDIN:
            self._attachment.end.stdin.receive(len(payload))
            self._attachment.end.stdin.pass_on_all()
        elif kind == frames.STDIN_END:
            self._attachment.end.stdin_ended = True
        elif kind == frames.COLLECTED:
            self._collected = self._attachment.exit is not None
