"""Writes the output of a detached job that runs on another node into files here, at its home."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gomd.interfaces import IThreads
from gomd.jobs.supervisor.file_store import LOST, FileStore
from libgomd.durable import replace_atomically
from libgomd.errors import MalformedReply
from libgomd.private import make_private_directory, open_private_directory
from libgomd.wire import frames, job_messages
from libgomd.wire.attachment import OUTPUTS, CallerEnd, Data, Exited
from libgomd.wire.frames import Frame, Piece
from libgomd.wire.job_messages import JobExit
from libgomd.wire.resumable import Receiver

#: Seconds that the disk may take for one piece.
_WRITE_TIMEOUT: Final = 60.0
#: The frames that mean something to the files; the rest is for callers that show it to people.
_TAKEN: Final = frozenset({*OUTPUTS, frames.ATTACHED, frames.EXIT})


class OutputWriter:
    """
    Takes the place of a caller's connection (`gomd.jobs.lifecycle.relay.ClientEnd`): takes frames, and
    acknowledges output when it has been written.

    One thing at a time is done, on a thread, and the frames that come meanwhile wait. They are at most a
    window of each output, as more is not sent without an acknowledgement.

    :param directory: of the job; it is made. :param limit: bytes that are kept of each output.
    :param reserve: bytes of the disk that stay free, see `gomd.jobs.supervisor.file_store.free_of`.
    :ivar full: False, as whatever comes is taken. :ivar gone: whether it was closed.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, threads: IThreads, directory: str, limit: int, reserve: int = 0) -> None:
        self.full = False
        self.gone = False
        self._on_frame: Callable[[Frame], None] = lambda _frame: None
        self._threads = threads
        self._directory = directory
        self._descriptor = -1
        self._limit = limit
        self._reserve = reserve
        self._parser = frames.FrameParser()
        self._replies = frames.FrameParser()
        self._files: dict[int, FileStore] = {}
        self._end = CallerEnd()
        self._waiting: deque[Frame] = deque()
        self._writing = False
        self._stopped: Deferred[None] | None = None

    def listen(
        self,
        on_frame: Callable[[Frame], None],
        on_lost: Callable[[], None] = lambda: None,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        """Give ``on_frame`` the frames that go to the job. The other two never happen here."""
        self._on_frame = on_frame

    def attach(self) -> None:
        """Ask for the output from where the files end."""
        self._waiting.append(Frame(frames.RESUME))
        self._go_on()

    def keep(self, limit: int) -> None:
        """Keep at most ``limit`` bytes of each output from now on."""
        self._limit = limit
        self._waiting.append(Frame(frames.MOVE))
        self._go_on()

    def send(self, data: bytes) -> None:
        """Take frames."""
        self._waiting.extend(self._parser.feed(data))
        self._go_on()

    def send_output(self, pieces: Iterable[Piece]) -> None:
        """Take output."""
        self._waiting.extend(Frame(piece.kind, bytes(piece.data)) for piece in pieces)
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and not self._writing and not self.gone:
            self._writing = True
            frame = self._waiting.popleft()
            done = Deferred.fromCoroutine(self._do(frame))
            done.addErrback(
                lambda failure: self._log.failure("keeping a job's output failed", failure=failure)
            )
            done.addCallback(lambda _result: self._finished())

    def _finished(self) -> None:
        self._writing = False
        if self.gone:
            self._close_files()
        self._go_on()

    async def _do(self, frame: Frame) -> None:
        if frame.kind == frames.RESUME:
            await self._threads.run(_WRITE_TIMEOUT, self._open)
            self._end.outputs = {kind: Receiver(store.end) for kind, store in self._files.items()}
            self._end.attach()
        elif frame.kind == frames.MOVE:
            for store in self._files.values():
                await self._threads.run(_WRITE_TIMEOUT, store.keep, self._limit)
        elif frame.kind in _TAKEN:
            await self._take(frame)
        for reply in self._replies.feed(self._end.data_to_send()):
            self._on_frame(reply)

    async def _take(self, frame: Frame) -> None:
        try:
            event = self._end.receive(frame)
        except MalformedReply as error:
            self._log.warn("output that breaks the rules is ignored: {error}", error=error)
            self._end.connection_replaced()  # until it is asked for anew
            return
        if isinstance(event, Data):
            await self._threads.run(_WRITE_TIMEOUT, self._files[event.kind].append, event.data)
            self._end.passed_on(event.kind, len(event.data))
        elif isinstance(event, Exited):
            exit = job_messages.decode(JobExit, frame.payload)
            await self._threads.run(_WRITE_TIMEOUT, self._write_exit, exit)
            self._end.collected()

    def _open(self) -> None:
        """Open the files. Blocks."""
        if self._files:
            return
        make_private_directory(self._directory)
        if self._descriptor < 0:
            self._descriptor = open_private_directory(self._directory)
        for kind, name in OUTPUTS.items():
            self._files[kind] = FileStore(self._descriptor, name, self._limit, self._reserve)

    def _write_exit(self, exit: JobExit) -> None:
        """Write down how the job ended. Blocks."""
        if lost := sum(store.lost for store in self._files.values()):
            exit = exit._replace(reason="; ".join(filter(None, (exit.reason, LOST.format(lost)))))
        make_private_directory(self._directory)
        data = json.dumps(job_messages.to_json(exit)).encode("ascii")
        replace_atomically(os.path.join(self._directory, "exit"), data)

    def pause_reading(self, paused: bool) -> None:
        """Does nothing: nothing is read from here."""

    def close(self) -> None:
        """Take no more, and close the files, which stay, as soon as nothing is being written to them."""
        self.gone = True
        self._on_frame = lambda _frame: None  # what is still being written is acknowledged to nobody
        self._waiting.clear()
        if not self._writing:
            self._close_files()

    async def closed(self) -> None:
        """Wait, after `close`, until nothing is written any more."""
        if self._writing:
            self._stopped = Deferred()
            await self._stopped

    def _close_files(self) -> None:
        for store in self._files.values():
            store.close()
        self._files.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.callback(None)
