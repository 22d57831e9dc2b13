"""A job that this daemon tracks: the phase it is in, its streams, and what its supervisor has told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.jobs.checkpoint.terminals import TERMINAL_STAYS
from gomd.jobs.home.output_writer import OutputWriter
from gomd.jobs.lifecycle.control import SupervisorControl
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.job_phase import IllegalTransition, Phase, check_transition
from gomd.jobs.lifecycle.relay import StreamRelay
from libgomd.errors import GomdError
from libgomd.wire import frames, job_messages
from libgomd.wire.job_messages import JobExit, JobReport, StartFailure
from libgomd.wire.job_orders import OrderOutcome


class JobObserver(Protocol):
    """Is told what happens to a tracked job."""

    def job_started(self, tracked: TrackedJob, first_time: bool) -> None:
        """It runs. :param first_time: this is not just another connection to it."""

    def job_ended(self, tracked: TrackedJob) -> None:
        """It has ended, see `TrackedJob.exit`. May be told more than once."""

    def job_failed(self, tracked: TrackedJob, failure: StartFailure) -> None:
        """It was not started, or it is lost."""

    def job_collected(self, tracked: TrackedJob) -> None:
        """Its caller has the exit status."""

    def job_connected(self, tracked: TrackedJob) -> None:
        """There is a connection to it, the first one or another one."""

    def job_disconnected(self, tracked: TrackedJob) -> None:
        """The connection to it broke, and no migration expects that."""

    def client_lost(self, tracked: TrackedJob) -> None:
        """The connection to its caller broke."""


def own_obstacle(running: JobReport) -> str:
    """Return why a job cannot be moved, a clause, as far as its supervisor tells; empty when it can."""
    if running.tty and not running.terminal_moves:
        return running.cantmove or TERMINAL_STAYS
    return running.cantmove


class TrackedJob:
    """
    A job and its streams. Its attributes are for reading; its methods change them.

    :param phase: the one it is in when this daemon begins to track it.
    :ivar name: ``HOME-JOB``. :ivar uid: whose it is. :ivar node: id of the node it runs on.
    :ivar number: of a job of this home, None for a guest.
    :ivar running: what its supervisor tells of it; None before it runs, and after it moved until its new
        node has told.
    :ivar exit: how it ended, None while it runs.
    :ivar begun: fires with None when it has begun, fails when it cannot.
    :ivar control: orders to its supervisor, when that is on this node.
    :ivar writer: where its output goes when it is detached and runs on another node.
    :ivar hung_up: its caller is gone, and it was told to end for that.
    :ivar orphaned: its home does not know it any more: it is being ended.
    :ivar obstacle: why it cannot be moved, as it was last examined; empty when it can.
    :ivar supervisor_silent: its supervisor here cannot be asked at the moment, and is tried again.
    :ivar seeking_node: it is being looked for on another node.
    :ivar bringing: it has ended, and the files that it carried are being brought home.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        observer: JobObserver,
        name: str,
        uid: int,
        node: int,
        *,
        number: int | None = None,
        phase: Phase = Phase.STARTING,
        running: JobReport | None = None,
    ) -> None:
        self._observer = observer
        self.name = name
        self.uid = uid
        self.node = node
        self.number = number
        self.phase = phase
        self.running = running
        self.relay = StreamRelay(clock, self, transparent=number is None)
        self.control = SupervisorControl(clock, self.relay.to_job, lambda: self.connected)
        self.exit: JobExit | None = None
        self.begun: Deferred[None] = Deferred()
        self.writer: OutputWriter | None = None
        self.hung_up = self.orphaned = False
        self.obstacle = ""
        self.supervisor_silent = self.seeking_node = self.bringing = False
        self._supervisor_lost: Callable[[], None] = lambda: None
        self._brought = False

    # -- what it is doing

    @property
    def connected(self) -> bool:
        """Whether there is a connection to it."""
        return self.relay.job is not None

    @property
    def taken(self) -> bool:
        """Whether a caller is attached."""
        return self.relay.client is not None and self.writer is None

    @property
    def leaving(self) -> bool:
        """Whether it is being moved from here."""
        return self.phase in (Phase.LEAVING, Phase.ENDED_LEAVING)

    def runs_on(self, node: int) -> bool:
        """Whether it is known to run on ``node``; it may be about to leave."""
        started = self.phase in (Phase.RUNNING, Phase.LEAVING, Phase.ARRIVING)
        return started and self.running is not None and self.node == node

    def _enter(self, phase: Phase) -> None:
        try:
            check_transition(self.phase, phase)
        except IllegalTransition:  # a bug: the log says so, which fails a test, and the job goes on
            self._log.failure("job {job} changed its phase against the rules", job=self.name)
        self.phase = phase

    # -- moving

    def leave(self, supervisor_lost: Callable[[], None]) -> None:
        """
        It is being moved from here. May be said again.

        :param supervisor_lost: called when its supervisor is gone while this lasts.
        """
        self._supervisor_lost = supervisor_lost
        self._enter(Phase.LEAVING if self.exit is None else Phase.ENDED_LEAVING)

    def stop_leaving(self) -> None:
        """It has moved, or stays; does nothing when it was not leaving."""
        if self.leaving:
            self._enter(Phase.RUNNING if self.exit is None else Phase.ENDED)

    def arrive(self) -> None:
        """A frozen copy of it is here, which may be resumed. One that has ended meanwhile stays ended."""
        if self.exit is None:
            self._enter(Phase.ARRIVING)

    def stop_arriving(self) -> None:
        """The copy was resumed or removed; does nothing when there was none."""
        if self.phase is Phase.ARRIVING:
            self._enter(Phase.RUNNING)

    def moved_to(self, node: int) -> None:
        """It runs on ``node`` now, which has still to describe it."""
        self.node, self.running = node, None

    def came_home(self, node: int, running: JobReport) -> None:
        """It runs on this ``node``, its home, again."""
        self.stop_arriving()
        self.node, self.running = node, running

    def set_lock(self, lock: bool) -> None:
        """Note whether balancing may move it."""
        if self.running is not None:
            self.running = self.running._replace(lock=lock)

    def note_obstacle(self, obstacle: str) -> None:
        """Note why it cannot be moved, a clause; empty when it can."""
        self.obstacle = obstacle

    # -- how it is found again

    def note_seeking(self, seeking: bool) -> None:
        """Note whether it is being looked for on another node."""
        self.seeking_node = seeking

    def note_silent(self, silent: bool) -> None:
        """Note whether its supervisor here cannot be asked at the moment."""
        self.supervisor_silent = silent

    # -- its streams

    def connect(self, stream: FrameStream) -> None:
        """Use ``stream`` as the connection to it."""
        self.supervisor_silent = False
        self.relay.join_job(stream)
        self._observer.job_connected(self)

    def keep_output(self, writer: OutputWriter) -> None:
        """Let ``writer`` take its output, in place of a caller."""
        self.writer = writer
        self.relay.join_client(writer)
        if self.connected:
            writer.attach()

    def stop_keeping(self) -> OutputWriter | None:
        """Close the writer and return it, None when there was none."""
        writer, self.writer = self.writer, None
        if writer is not None:
            self.relay.drop_client()
        return writer

    def resume(self) -> None:
        """After another connection to it: let its caller say from where the streams go on."""
        if self.writer is not None:
            self.writer.attach()
        else:
            self.relay.to_client(frames.encode(frames.RESUME))
        if self.hung_up:
            self.relay.to_job(frames.encode(frames.HANGUP))

    def hang_up(self) -> None:
        """Its caller is gone: tell it to end."""
        self.hung_up = True
        self.relay.to_job(frames.encode(frames.HANGUP))

    def end_orphan(self, signal: int) -> None:
        """Its home does not know it any more: end it with ``signal``."""
        self.orphaned = True
        self.relay.to_job(frames.encode_signal(signal, True))
        if self.exit is not None:
            self.collect()

    def collect(self) -> None:
        """Let its end forget it."""
        self.relay.to_job(frames.encode(frames.COLLECTED))

    # -- how it begins and ends

    def fail(self, error: GomdError) -> None:
        """It cannot be started: tell whoever waits for that."""
        if not self.begun.called:
            self.begun.errback(error)

    def end(self, exit: JobExit) -> None:
        """It has ended."""
        self.exit = exit
        self._enter(Phase.ENDED_LEAVING if self.leaving else Phase.ENDED)

    def begin_bringing(self) -> None:
        """It has ended, and the files that it carried are being brought home; its caller waits for that."""
        self.bringing = True

    def brought_home(self, exit: JobExit) -> None:
        """The files that it carried are home, or stay where they are, as ``exit`` says: tell the caller."""
        self.exit = exit
        self.bringing, self._brought = False, True
        self.tell_exit()

    def tell_exit(self) -> None:
        """Tell an attached caller how it ended; one that attaches later is told then."""
        if self.exit is not None and self.relay.attached:
            self.relay.to_client(job_messages.encode(self.exit))

    def supervisor_lost(self) -> bool:
        """Its supervisor is gone: return whether a migration is under way, which was told."""
        if self.leaving:
            self._supervisor_lost()
            return True
        return False

    def release(self) -> None:
        """
        Close its connections, and track it no more.

        The caller of a job that did not begin keeps its connection: it is still to be told why.
        """
        began = self.phase is not Phase.STARTING
        self._enter(Phase.RELEASED)
        client = self.relay.release_client()
        self.relay.close()
        if client is not None and began:
            client.close()

    # -- what its relay tells

    def on_started(self, running: JobReport) -> None:
        """See `RelayListener.on_started`."""
        first_time, self.running = self.phase is Phase.STARTING, running
        if first_time:
            self._enter(Phase.RUNNING)
        self._observer.job_started(self, first_time)
        if not self.begun.called:
            self.begun.callback(None)

    def on_exit(self, exit: JobExit) -> None:
        """See `RelayListener.on_exit`."""
        if self.phase is Phase.STARTING:
            raise frames.MalformedFrame("a job that ended before it began")
        if self.bringing:
            return  # told again on another connection
        if self._brought:
            self.tell_exit()
            return
        self.end(exit)
        self._observer.job_ended(self)

    def on_failed(self, failure: StartFailure) -> None:
        """See `RelayListener.on_failed`."""
        self._observer.job_failed(self, failure)

    def on_outcome(self, outcome: OrderOutcome) -> None:
        """See `RelayListener.on_outcome`."""
        self.control.on_outcome(outcome)

    def on_collected(self) -> None:
        """See `RelayListener.on_collected`."""
        self._observer.job_collected(self)

    def on_job_lost(self) -> None:
        """See `RelayListener.on_job_lost`."""
        self.control.connection_lost()
        self._observer.job_disconnected(self)

    def on_client_lost(self) -> None:
        """See `RelayListener.on_client_lost`."""
        self._observer.client_lost(self)
