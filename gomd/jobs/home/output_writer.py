"""Where the output of a detached job goes that runs on another node: into files here, at its home."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gomd.interfaces import IThreads
from gomd.jobs.supervisor.file_store import LOST, FileStore
from libgomd.private import create_private, make_private_directory, open_private_directory
from libgomd.wire import frames
from libgomd.wire.frames import Frame

#: Seconds the disk may take for one piece.
_WRITE_LIMIT = 60.0
_NAMES = {frames.STDOUT: "stdout", frames.STDERR: "stderr"}


class OutputWriter:
    """
    Stands where a caller's connection would (`FrameStream`): takes frames, acknowledges what is written.

    :param directory: of the job; it is made. :param limit: bytes that are kept of each stream.
    :param reserve: bytes of the disk that stay free, see `gomd.jobs.supervisor.file_store.free_of`.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, threads: IThreads, directory: str, limit: int, reserve: int = 0) -> None:
        self.full = False
        self.gone = False
        self.on_frame: Callable[[Frame], None] = lambda _frame: None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None
        self._threads = threads
        self._directory = directory
        self._descriptor = -1
        self._limit = limit
        self._reserve = reserve
        self._parser = frames.FrameParser()
        self._spools: dict[int, FileStore] = {}
        self._received: dict[int, int] = {}
        self._asked = 0
        self._attached = False
        self._waiting: deque[Frame] = deque()
        self._writing = False
        self._stopped: Deferred[None] | None = None

    def attach(self) -> None:
        """Ask for the output from where the files end."""
        self._waiting.append(Frame(frames.RESUME))
        self._go_on()

    def keep(self, limit: int) -> None:
        """Keep at most ``limit`` bytes of each stream from now on."""
        self._limit = limit
        self._waiting.append(Frame(frames.MOVE))
        self._go_on()

    def send(self, data: bytes) -> None:
        """Take frames."""
        self._waiting.extend(self._parser.feed(data))
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
        kind, payload = frame
        if kind == frames.RESUME:
            await self._threads.run(_WRITE_LIMIT, self._open)
            self._attached = False  # what still comes of an earlier question comes again behind its answer
            self._asked += 1
            wanted = {_NAMES[stream]: spool.end for stream, spool in self._spools.items()}
            wanted["n"] = self._asked
            self.on_frame(Frame(frames.ATTACH, json.dumps(wanted).encode("ascii")))
        elif kind == frames.MOVE:
            for spool in self._spools.values():
                await self._threads.run(_WRITE_LIMIT, spool.keep, self._limit)
        elif kind in self._spools and self._attached:
            await self._threads.run(_WRITE_LIMIT, self._spools[kind].append, payload)
            self._received[kind] += len(payload)
            self.on_frame(frames.ack(kind, self._received[kind]))
        elif kind == frames.ATTACHED:
            told = frames.decode_json(payload)
            if told.get("n", self._asked) != self._asked:
                return
            self._attached = True
            self._received = {stream: int(told[name]) for stream, name in _NAMES.items()}
        elif kind == frames.EXIT and (self._attached or frames.decode_json(payload).get("lost")):
            await self._threads.run(_WRITE_LIMIT, self._end, frames.decode_json(payload))
            self.on_frame(Frame(frames.COLLECTED))

    def _open(self) -> None:
        """Open the files. Blocks."""
        if self._spools:
            return
        make_private_directory(self._directory)
        if self._descriptor < 0:
            self._descriptor = open_private_directory(self._directory)
        for stream, name in _NAMES.items():
            self._spools[stream] = FileStore(self._descriptor, name, self._limit, self._reserve)

    def _end(self, told: dict[str, Any]) -> None:
        """Write down how the job ended. Blocks."""
        if lost := sum(spool.lost for spool in self._spools.values()):
            reasons = (str(told.get("reason", "")), LOST.format(lost))
            told = {**told, "reason": "; ".join(filter(None, reasons))}
        make_private_directory(self._directory)
        path = os.path.join(self._directory, "exit")
        with open(create_private(f"{path}.new"), "w", encoding="ascii") as file:
            json.dump(told, file)
        os.rename(f"{path}.new", path)

    def hold(self, held: bool) -> None:
        """Nothing is read from here."""

    def close(self) -> None:
        """Take no more, and close the files, which stay, when what is being written is."""
        self.gone = True
        self.on_frame = lambda _frame: None  # what is written yet is acknowledged to nobody
        self._waiting.clear()
        if not self._writing:
            self._close_files()

    async def closed(self) -> None:
        """Wait, after `close`, until nothing is written any more."""
        if self._writing:
            self._stopped = Deferred()
            await self._stopped

    def _close_files(self) -> None:
        for spool in self._spools.values():
            spool.close()
        self._spools.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.callback(None)
