"""Reads from a caller's stream the description of the job that is to run."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gomd.interfaces import IThreads
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.long_specs import SpecTicket
from gomd.jobs.lifecycle.request import JobRequest, parse
from libgomd.deadlines import within
from libgomd.errors import MalformedRequest, NotPossible, TimedOut
from libgomd.wire import frames
from libgomd.wire.frames import AttachRequest, Frame, MalformedFrame

#: Seconds that a caller has to say what is to run.
SPEC_TIMEOUT: Final = 30.0
#: Bytes of a description that take the reactor no longer than a millisecond or two.
LONG_SPEC_BYTES: Final = 131072


async def read_request(
    clock: IReactorTime, threads: IThreads, stream: FrameStream, ticket: SpecTicket
) -> JobRequest:
    """
    Return the job that the caller at ``stream`` describes, and read no further until it has begun.

    :param threads: a long description is decoded on one of them.
    :param ticket: admits a description of more than one ordinary frame.
    :raises MalformedRequest: it describes no job. :raises NotPossible: the caller is gone.
    :raises TimedOut: the description did not come within `SPEC_TIMEOUT`.
    """
    stream.admit_long_spec(ticket.admits)
    payload = (await _first_frame(clock, stream)).payload
    stream.admit_long_spec(None)
    if len(payload) <= LONG_SPEC_BYTES:
        return _decode(payload)
    return await threads.run(SPEC_TIMEOUT, _decode, payload)


async def _first_frame(clock: IReactorTime, stream: FrameStream) -> Frame:
    waited: Deferred[Frame] = Deferred()
    late = TimedOut(f"nothing to run was named within {SPEC_TIMEOUT:g} s")

    def take(frame: Frame) -> None:
        stream.forget()
        stream.pause_reading(True)
        if frame.kind == frames.SPEC:
            waited.callback(frame)
        else:
            waited.errback(MalformedRequest("the first frame has to say what to run"))

    stream.listen(take, lambda: waited.errback(NotPossible("the caller has closed the connection")))
    try:
        return await within(clock, SPEC_TIMEOUT, waited, late)
    finally:
        stream.forget()


def early_attach(stream: FrameStream) -> AttachRequest | None:
    """
    Return the `ATTACH` that the caller has sent right behind its description, None when that did not come.

    The frame still waits on the stream, for who listens next.
    """
    frame = stream.early_frame()
    if frame is None or frame.kind != frames.ATTACH:
        return None
    try:
        wanted = frames.decode_attach(frame.payload)
    except MalformedFrame:  # who listens next refuses it
        return None
    return None if wanted.detach else wanted


def _decode(payload: bytes) -> JobRequest:
    return parse(frames.decode_json(payload))
