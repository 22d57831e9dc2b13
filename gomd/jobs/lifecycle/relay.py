"""Relays the streams of one job through a daemon: frames from one end to the other, none kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.output_acks import OutputAcks
from libgomd.wire import frames, job_messages
from libgomd.wire.frames import Frame, Piece
from libgomd.wire.job_messages import JobExit, JobReport, StartFailure
from libgomd.wire.job_orders import OrderOutcome

#: The frames that a caller may send once its job runs.
_FROM_CLIENT = frozenset(
    {frames.ATTACH, frames.STDIN, frames.STDIN_END, frames.SIGNAL, frames.WINSIZE, frames.HANGUP,
     frames.COLLECTED, frames.ACK}
)  # fmt: skip
#: The frames that are for the caller alone.
_TO_CLIENT = frozenset({frames.STDOUT, frames.STDERR, frames.ACK})


class ClientEnd(Protocol):
    """The caller's end: its connection (`FrameStream`), or the files its output is written to."""

    @property
    def full(self) -> bool:
        """Whether it must read before more should be sent to it."""

    @property
    def gone(self) -> bool:
        """Whether it is gone, so that sending has no effect."""

    def send(self, data: bytes) -> None:
        """Send encoded frames."""

    def send_output(self, pieces: Iterable[Piece]) -> None:
        """Send output."""

    def pause_reading(self, paused: bool) -> None:
        """Pause or resume reading from it."""

    def close(self) -> None:
        """Close it, without telling the listener."""

    def listen(
        self, on_frame: Callable[[Frame], None], on_lost: Callable[[], None], on_room: Callable[[], None]
    ) -> None:
        """See `FrameStream.listen`."""


class RelayListener(Protocol):
    """Receives the events of a relay that concern this daemon too."""

    def on_started(self, running: JobReport) -> None:
        """The job runs. Called again for each new connection to the job."""

    def on_exit(self, exit: JobExit) -> None:
        """The job has ended. It may be called more than once."""

    def on_failed(self, failure: StartFailure) -> None:
        """The job was not started, or it is lost."""

    def on_outcome(self, outcome: OrderOutcome) -> None:
        """An order to the job's supervisor has had this outcome."""

    def on_collected(self) -> None:
        """The caller has received the exit status, so the job's end may forget the job."""

    def on_job_lost(self) -> None:
        """The connection to the job's end broke."""

    def on_client_lost(self) -> None:
        """The connection to the caller's end broke."""


class StreamRelay:
    """
    Joins the job's end (a supervisor, or the daemon of the node the job runs on) to the caller's end
    (the caller's connection, or that of the job's home).

    Nothing is kept: the window on which the two ends agree bounds the data under way. A caller gains nothing
    by acknowledging output it has not read: its acknowledgements wait while its connection is full. On their
    way to the job they are joined (`OutputAcks`), once: not by the daemon of the job's node.

    :param transparent: whether everything is passed on to the caller's end, because that is another daemon.
    :ivar job: the connection to the job's end; None while there is none. :ivar client: the caller's end.
    :ivar holds_exit: whether the listener tells the caller of the job's end, when it has done its part.
    :ivar attached: whether the job's end has answered the caller's newest `ATTACH`.
    :ivar unheard: whether it has answered one while no caller was connected.
    """

    def __init__(self, clock: IReactorTime, listener: RelayListener, transparent: bool = False) -> None:
        self._listener = listener
        self.transparent = transparent
        self.job: FrameStream | None = None
        self.client: ClientEnd | None = None
        self.attached = self.unheard = False
        self.holds_exit = False
        self._acks = OutputAcks(clock, self._acknowledge, lambda: self.client is None or not self.client.full)
        self._stdin_position = 0
        self._stdin_acknowledged = 0

    # -- the connections

    def join_job(self, stream: FrameStream) -> None:
        """Use ``stream`` as the connection to the job. A connected caller has to send `ATTACH` again."""
        self.drop_job()
        self.job = stream
        stream.listen(self._from_job, self._job_gone, self._job_has_room, self._output_from_job)

    def join_client(self, client: ClientEnd) -> None:
        """Use ``client`` as the caller's end."""
        self.client = client
        self.attached = False
        self._acks.forget()
        client.listen(self._from_client, self._client_gone, self._client_has_room)

    def drop_job(self) -> None:
        """Close the connection to the job, if there is one, without telling the listener."""
        job, self.job = self.job, None
        self.attached = False
        self._acks.forget()
        if job is not None:
            job.close()

    def abort_job(self) -> None:
        """Close the connection to the job as if it had broken, and tell the listener."""
        if self.job is not None:
            self.job.abort()

    def drop_client(self) -> None:
        """Close the caller's end, if there is one, without telling the listener."""
        self._acks.release()
        self._acks.forget()
        client, self.client = self.client, None
        self.attached = False
        if client is not None:
            client.close()

    def release_client(self) -> ClientEnd | None:
        """Return the caller's end, still open; the relay does not use it any more."""
        client, self.client = self.client, None
        return client

    def close(self) -> None:
        """Close both connections, without telling the listener."""
        self.drop_client()
        self.drop_job()

    def to_job(self, data: bytes) -> None:
        """Send a frame to the job's end, if it is connected."""
        if self.job is not None:
            self.job.send(data)

    def to_client(self, data: bytes) -> None:
        """Send a frame to the caller, if one is connected."""
        if self.client is not None:
            self.client.send(data)

    # -- frames

    def _output_from_job(self, pieces: list[Piece]) -> None:
        if self.attached and self.client is not None:
            self.client.send_output(pieces)

    def _from_job(self, frame: Frame) -> None:
        kind, payload = frame
        if kind == frames.MOVED:
            self._listener.on_outcome(job_messages.decode(OrderOutcome, payload))
            return
        if self.transparent and kind not in _TO_CLIENT and kind != frames.ATTACHED:
            self.to_client(frames.encode(kind, payload))
        if kind in _TO_CLIENT:
            if self.attached:
                if kind == frames.ACK:
                    self._stdin_acknowledged = frames.decode_ack(payload)[1]
                self.to_client(frames.encode(kind, payload))
        elif kind == frames.ATTACHED:
            self._stdin_position, self._stdin_acknowledged = frames.decode_attached(payload)
            self.attached = self.client is not None
            self.unheard = not self.attached
            self.to_client(frames.encode(kind, payload))
        elif kind == frames.STARTED:
            self._listener.on_started(job_messages.decode(JobReport, payload))
        elif kind == frames.EXIT:
            if self.attached and not self.transparent and not self.holds_exit:
                self.to_client(frames.encode(kind, payload))
            self._listener.on_exit(job_messages.decode(JobExit, payload))
        elif kind == frames.FAILED:
            self._listener.on_failed(job_messages.decode(StartFailure, payload))
        elif kind == frames.RESUME:
            self.attached = False
            if not self.transparent:
                self.to_client(frames.encode(kind, payload))

    def _from_client(self, frame: Frame) -> None:
        kind, payload = frame
        assert self.client is not None
        if kind not in _FROM_CLIENT:
            raise frames.MalformedFrame(f"a caller does not send frames of kind {kind}")
        if kind == frames.ACK:
            self._acks.take(*frames.decode_ack(payload))
            if self.transparent:
                self._acks.release()
            return
        elif kind == frames.STDIN:
            if not self.attached:
                return  # it was meant for an end that is gone; the caller sends it again after ATTACH
            self._stdin_position += len(payload)
            if self._stdin_position - self._stdin_acknowledged > frames.WINDOW:
                raise frames.MalformedFrame("more input than the window allows")
        elif kind == frames.STDIN_END and not self.attached:
            return
        elif kind == frames.ATTACH:
            frames.decode_attach(payload)
            self._acks.release()  # before it, as they came
            self._acks.forget()
            self.attached = False
        elif kind == frames.SIGNAL:
            frames.decode_signal(payload)
        elif kind == frames.WINSIZE:
            frames.decode_winsize(payload)
        elif kind == frames.COLLECTED:
            self._listener.on_collected()
            return
        self.to_job(frames.encode(kind, payload))
        if self.job is not None and self.job.full:
            self.client.pause_reading(True)

    def _client_has_room(self) -> None:
        self._acks.release()

    def _acknowledge(self, stream: int, position: int) -> None:
        self.to_job(frames.encode_ack(stream, position))

    def _job_has_room(self) -> None:
        if self.client is not None:
            self.client.pause_reading(False)

    def _job_gone(self) -> None:
        self.job = None
        self.attached = False
        self._acks.forget()
        if self.client is not None:
            self.client.pause_reading(False)
        self._listener.on_job_lost()

    def _client_gone(self) -> None:
        self._acks.release()
        self._acks.forget()
        self.client = None
        self.attached = False
        self._listener.on_client_lost()
