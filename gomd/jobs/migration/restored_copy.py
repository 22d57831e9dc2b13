"""The stopped copy of a job that criu has restored on this node, until it is let run or ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gomd.jobs.lifecycle.control import SupervisorControl
from gomd.jobs.lifecycle.frame_stream import FrameStream
from libgomd.errors import CannotMove
from libgomd.wire import frames
from libgomd.wire.frames import Frame
from libgomd.wire.job_messages import JobReport, StartFailure, decode
from libgomd.wire.job_orders import END, THAW, OrderOutcome, PlainOrder

#: Why a copy has failed whose supervisor closed the connection.
_GONE: Final = "its supervisor ended without a word"


class RestoredCopy:
    """
    Talks to the supervisor of a copy.

    :param stream: the connection to it.
    :param lost: called with the reason when a copy that was there is gone.
    :ivar running: how the supervisor describes the job; None until `wait` has returned.
    """

    def __init__(self, clock: IReactorTime, stream: FrameStream, lost: Callable[[str], None]) -> None:
        self.stream = stream
        self.running: JobReport | None = None
        self._clock = clock
        self._lost = lost
        self._started: Deferred[JobReport] = Deferred()
        self._control = SupervisorControl(clock, stream.send, lambda: not stream.gone)
        stream.listen(self._on_frame, self._on_lost)

    @property
    def is_gone(self) -> bool:
        """Whether the connection to the supervisor has ended."""
        return self.stream.gone

    async def wait(self, timeout: float) -> None:
        """
        Wait until the supervisor has described the job.

        :param timeout: seconds. :raises CannotMove: it could not restore the job, or is gone.
        """
        late = self._clock.callLater(timeout, self.stream.abort)  # not `within`: the stream's end says why
        try:
            self.running = await self._started
        finally:
            if late.active():
                late.cancel()

    async def thaw(self) -> None:
        """Let the job run. :raises CannotMove: it cannot be done."""
        await self._control.do(PlainOrder(THAW))

    async def end(self) -> None:
        """End the job, also one that is being restored."""
        if self.is_gone:
            return
        if self.running is not None:
            with suppress(CannotMove):
                await self._control.do(PlainOrder(END))
            self.stream.close()
        else:
            self.stream.abort()  # its supervisor sees that while it restores, and ends

    def _on_frame(self, frame: Frame) -> None:
        if frame.kind == frames.STARTED and not self._started.called:
            self._started.callback(decode(JobReport, frame.payload))
        elif frame.kind == frames.FAILED and not self._started.called:
            self._started.errback(CannotMove(decode(StartFailure, frame.payload).text))
        elif frame.kind == frames.MOVED:
            self._control.on_outcome(decode(OrderOutcome, frame.payload))

    def _on_lost(self) -> None:
        self._control.connection_lost()
        if not self._started.called:
            self._started.errback(CannotMove(_GONE))
        else:
            self._lost("the stopped copy is gone")
