"""Passes the files that a job carries along from one process to another, here or elsewhere; keeps none."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gomd.jobs.lifecycle.frame_stream import FrameStream
from libgomd.deadlines import within
from libgomd.errors import CannotMove, NotPossible, PeerUnreachable, TimedOut
from libgomd.wire import frames
from libgomd.wire.carry_messages import CarryOutcome
from libgomd.wire.frames import Frame, MalformedFrame
from libgomd.wire.job_messages import decode

_ENDED = "the connection ended in the middle of the carried files"


class CannotCarry(NotPossible):
    """These files cannot be read where they are, so they can be carried to no node; the text says why."""


class Transfer:
    """
    One transfer of files, from a process that reads them to one that writes them.

    :param source: the connection to the one that reads. :param sink: to the one that writes.
    :param limit: seconds it may take.
    :ivar done: fires with None when all files are written; fails with `NotPossible` when one side could
        not, with `PeerUnreachable` when a connection broke, and with `TimedOut`.
    """

    def __init__(self, clock: IReactorTime, source: FrameStream, sink: FrameStream, limit: float) -> None:
        self._source = source
        self._sink = sink
        self._all_read = False
        self._result: Deferred[None] = Deferred(lambda _result: self._end(FrameStream.abort))
        late = TimedOut(f"the carried files took longer than {limit:g} s")
        self.done = within(clock, limit, self._result, late)
        sink.listen(self._from_sink, self._lost, self._room)
        if not self._result.called:
            source.listen(self._from_source, self._source_lost)

    def _from_source(self, frame: Frame) -> None:
        if frame.kind == frames.PIECE:
            self._sink.send(frames.encode(frames.PIECE, frame.payload))
            if self._sink.full:
                self._source.pause_reading(True)
        elif (outcome := outcome_in(frame)) is not None:
            self._all_read = True
            if outcome.failed:
                self._fail(CannotCarry(outcome.failed))

    def _from_sink(self, frame: Frame) -> None:
        outcome = outcome_in(frame)
        if outcome is None:
            return
        if outcome.failed:
            self._fail(NotPossible(outcome.failed))
        elif not self._result.called:
            self._end(FrameStream.close)
            self._result.callback(None)

    def _room(self) -> None:
        self._source.pause_reading(False)

    def _lost(self) -> None:
        self._fail(PeerUnreachable(_ENDED))

    def _source_lost(self) -> None:
        if not self._all_read:
            self._lost()

    def _fail(self, error: Exception) -> None:
        if not self._result.called:
            self._end(FrameStream.abort)
            self._result.errback(error)

    def _end(self, how: Callable[[FrameStream], None]) -> None:
        for stream in (self._source, self._sink):
            stream.forget()
            how(stream)


async def step_outcome(clock: IReactorTime, stream: FrameStream, limit: float) -> CarryOutcome:
    """
    Return the outcome of a step that sends and receives no files.

    :raises CannotMove: its process ended without a word.
    :raises TimedOut: it takes longer than ``limit`` seconds.
    """
    waited: Deferred[CarryOutcome] = Deferred()

    def take(frame: Frame) -> None:
        if (outcome := outcome_in(frame)) is not None and not waited.called:
            waited.callback(outcome)

    def lost() -> None:
        if not waited.called:
            waited.errback(CannotMove(_ENDED))

    stream.listen(take, lost)
    try:
        return await within(clock, limit, waited, TimedOut(f"the disk took longer than {limit:g} s"))
    finally:
        stream.forget()
        stream.close()


def pass_through(client: FrameStream, step: FrameStream) -> None:
    """Join the daemon at ``client`` to the process that does what it asked for; they end together."""

    def to_step(frame: Frame) -> None:
        if frame.kind != frames.PIECE:
            raise MalformedFrame(f"a frame of kind {frame.kind} among carried files")
        step.send(frames.encode(frame.kind, frame.payload))
        if step.full:
            client.pause_reading(True)

    def to_client(frame: Frame) -> None:
        client.send(frames.encode(frame.kind, frame.payload))
        if client.full:
            step.pause_reading(True)

    client.pause_reading(False)
    step.listen(to_client, client.close, lambda: client.pause_reading(False))
    client.listen(to_step, step.abort, lambda: step.pause_reading(False))


def outcome_in(frame: Frame) -> CarryOutcome | None:
    """Return the outcome that a frame tells; None for the word that the task has arrived."""
    if frame.kind != frames.MOVED:
        raise MalformedFrame(f"a frame of kind {frame.kind} among carried files")
    if "did" in frames.decode_json(frame.payload):
        return None
    return decode(CarryOutcome, frame.payload)
