"""The streams of one job as they pass through a daemon: frames from one side to the other, none kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gomd.jobs.home.output_writer import OutputWriter
from gomd.jobs.lifecycle.frame_stream import FrameStream
from libgomd.wire import frames
from libgomd.wire.frames import Frame

Told = Callable[[dict[str, Any]], None]
#: What a caller may say once his job runs.
_FROM_CLIENT = frozenset(
    {frames.ATTACH, frames.STDIN, frames.STDIN_END, frames.SIGNAL, frames.WINSIZE, frames.HANGUP,
     frames.COLLECTED, frames.ACK}
)  # fmt: skip
#: What is for the caller alone.
_TO_CLIENT = frozenset({frames.STDOUT, frames.STDERR, frames.ACK})


class StreamRelay:
    """
    Joins the job's end (a supervisor, or the daemon of the node the job runs on) to the caller's end
    (the caller's connection, or that of the job's home).

    Nothing is kept: what is under way is bounded by the window that the two ends agree on. A caller who
    acknowledges what he has not read gains nothing: his acknowledgements wait while his connection is full.

    :param transparent: everything is passed on to the caller's end, which is another daemon.
    :ivar started: called when the job runs, again with each new connection to it.
    :ivar ended: called with how it ended, perhaps more than once. :ivar failed: it never began, or was lost.
    :ivar moved: called with what came of a step of a migration.
    :ivar collect: called when the caller has its end: tells the job's end so, which then forgets the job.
    :ivar job_lost: called when the connection to the job's end broke.
    :ivar client_lost: called when the caller's broke.
    """

    def __init__(self, transparent: bool = False) -> None:
        self.transparent = transparent
        self.job: FrameStream | None = None
        self.client: FrameStream | OutputWriter | None = None
        self.attached = False
        self.started: Told = lambda _told: None
        self.ended: Told = lambda _told: None
        self.failed: Told = lambda _told: None
        self.moved: Told = lambda _told: None
        self.collect: Callable[[], None] = lambda: self.to_job(frames.encode(frames.COLLECTED))
        self.job_lost: Callable[[], None] = lambda: None
        self.client_lost: Callable[[], None] = lambda: None
        self._held_acks: dict[int, bytes] = {}
        self._stdin_position = 0
        self._stdin_acknowledged = 0

    # -- who is at either end

    def join_job(self, stream: FrameStream) -> None:
        """Take ``stream`` as the connection to the job; a caller who is there says `ATTACH` again."""
        old, self.job = self.job, stream
        if old is not None:
            old.close()
        self.attached = False
        stream.on_lost = self._job_gone
        stream.on_room = self._job_has_room
        stream.on_frame = self._from_job

    def join_client(self, stream: FrameStream | OutputWriter) -> None:
        """Take ``stream`` as the caller's connection."""
        self.client = stream
        self.attached = False
        self._held_acks.clear()
        stream.on_lost = self._client_gone
        stream.on_room = self._client_has_room
        stream.on_frame = self._from_client

    def drop_client(self) -> None:
        """Close the caller's connection, if there is one."""
        client, self.client = self.client, None
        self.attached = False
        if client is not None:
            client.close()

    def close(self) -> None:
        """Close both connections; nobody is told."""
        self.drop_client()
        job, self.job = self.job, None
        if job is not None:
            job.close()

    def to_job(self, data: bytes) -> None:
        """Send a frame to the job's end."""
        if self.job is not None:
            self.job.send(data)

    def to_client(self, data: bytes) -> None:
        """Send a frame to the caller."""
        if self.client is not None:
            self.client.send(data)

    # -- frames

    def _from_job(self, frame: Frame) -> None:
        kind, payload = frame
        if kind == frames.MOVED:
            self.moved(frames.decode_json(payload))
            return
        if self.transparent and kind not in _TO_CLIENT and kind != frames.ATTACHED:
            self.to_client(frames.encode(kind, payload))
        if kind in _TO_CLIENT:
            if self.attached:
                if kind == frames.ACK:
                    self._stdin_acknowledged = frames.decode_ack(payload)[1]
                self.to_client(frames.encode(kind, payload))
        elif kind == frames.ATTACHED:
            told = frames.decode_json(payload)
            self._stdin_position = int(told["stdin"])
            self._stdin_acknowledged = int(told["stdin_taken"])
            self.attached = self.client is not None
            self.to_client(frames.encode(kind, payload))
        elif kind == frames.STARTED:
            self.started(frames.decode_json(payload))
        elif kind == frames.EXIT:
            if self.attached and not self.transparent:
                self.to_client(frames.encode(kind, payload))
            self.ended(frames.decode_json(payload))
        elif kind == frames.FAILED:
            self.failed(frames.decode_json(payload))
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
            stream, _position = frames.decode_ack(payload)
            if self.client.full:
                self._held_acks[stream] = payload
                return
        elif kind == frames.STDIN:
            if not self.attached:
                return  # it was sent to an end that is gone; it comes again after ATTACH
            self._stdin_position += len(payload)
            if self._stdin_position - self._stdin_acknowledged > frames.WINDOW:
                raise frames.MalformedFrame("more input than the window allows")
        elif kind == frames.STDIN_END and not self.attached:
            return
        elif kind == frames.ATTACH:
            frames.decode_attach(payload)
            self.attached = False
        elif kind == frames.SIGNAL:
            frames.decode_signal(payload)
        elif kind == frames.WINSIZE:
            frames.decode_winsize(payload)
        elif kind == frames.COLLECTED:
            self.collect()
            return
        self.to_job(frames.encode(kind, payload))
        if self.job is not None and self.job.full:
            self.client.hold(True)

    def _client_has_room(self) -> None:
        held, self._held_acks = self._held_acks, {}
        for payload in held.values():
            self.to_job(frames.encode(frames.ACK, payload))

    def _job_has_room(self) -> None:
        if self.client is not None:
            self.client.hold(False)

    def _job_gone(self) -> None:
        self.job = None
        self.attached = False
        if self.client is not None:
            self.client.hold(False)
        self.job_lost()

    def _client_gone(self) -> None:
        self.client = None
        self.attached = False
        self.client_lost()
