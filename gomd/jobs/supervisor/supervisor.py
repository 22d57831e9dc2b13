"""
The process beside each job that keeps its streams and its exit status while daemons come and go.

The fork server forks it. It starts the job and stays until somebody has taken note of the job's end. One
daemon at a time is connected to it: the one that had it started, over the connection it was given, or a later
one, over the socket in the job's directory. docs/jobs.md says what travels there.

`Supervisor` joins the parts, each of which has one duty: `stdio` (the job's pipes or terminal), `attach`
(what goes to the caller), `control_socket` (the daemon), `exit_watcher` (how the job ends),
`lingering` (how long it stays) and `job_place` (what it has on this machine). Standard library only, and
little of it: every job has one of these.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress

from gomd.jobs.supervisor.attach import CallerAttachment
from gomd.jobs.supervisor.control_socket import ControlSocket
from gomd.jobs.supervisor.exit_watcher import ExitWatcher, end_the_rest
from gomd.jobs.supervisor.file_store import LOST, output_stores
from gomd.jobs.supervisor.job_directory import EXIT, JOB
from gomd.jobs.supervisor.job_group import JobGroup
from gomd.jobs.supervisor.job_place import JobPlace
from gomd.jobs.supervisor.job_report import new_identity, report, shown_arguments
from gomd.jobs.supervisor.job_streams import JobStreams, make_streams
from gomd.jobs.supervisor.job_terminal import JobTerminal
from gomd.jobs.supervisor.lingering import DESERTED_CHECK_INTERVAL, Lingering
from gomd.jobs.supervisor.private_dirs import PrivateDirectories
from gomd.jobs.supervisor.private_hint import private_hint
from gomd.jobs.supervisor.spawn import CannotStart, Program, SupervisorEnvironment, begin
from gomd.jobs.supervisor.stdio import JobStdio
from gomd.jobs.supervisor.stop_signals import STOP_SIGNALS, send_stop
from libgomd.wire import frames, job_messages
from libgomd.wire.job_messages import JobExit, JobReport, SpawnSpec, StartFailure
from libgomd.wire.job_orders import KeepOrder, Order


class Supervisor:
    """
    One job.

    :param spec: what to run. :param environment: where this process is.
    :param control: the connection of the daemon that had the job started.
    :param deserted_check: see `DESERTED_CHECK_INTERVAL`.
    """

    def __init__(
        self,
        spec: SpawnSpec,
        environment: SupervisorEnvironment,
        control: ControlSocket,
        deserted_check: float = DESERTED_CHECK_INTERVAL,
    ) -> None:
        self._spec = spec
        self._environment = environment
        self._control = control
        self._place = JobPlace(spec)
        self._stores = output_stores(self._place.directory.descriptor, spec) if spec.detach else {}
        self._attachment = CallerAttachment(control, self._stores)
        self._stdio = JobStdio(self._attachment.end, bounded=spec.detach)
        self._watcher = ExitWatcher()
        self._program: Program | None = None
        self._terminal: JobTerminal | None = None
        self._lingering = Lingering(deserted_check)
        self._done = False
        self._frozen = False

    # -- the beginning

    def take_group(self, group: JobGroup | None) -> None:
        """Use a cgroup that is there already; None: there is none."""
        self._place.group = group

    def run(self, received: list[frames.Frame]) -> None:
        """
        Start the job and serve it to its end. Blocks.

        :param received: frames that came behind the description of the job.
        """
        try:
            self._start()
        except CannotStart as error:
            self._refuse(error)
            return
        self._control.listen()
        if self._spec.attach is None:
            self._tell_state()
        else:
            self._begin_attached(self._spec.attach)
        for frame in received:
            self._take(frame)
        while not self._done:
            self._step()
        self._leave()
        self._place.remove_group()

    def _start(self) -> None:
        spec = self._spec
        self._place.prepare(spec, self._environment)
        streams = self._make_streams()
        self._watcher.start()
        try:
            own_tmp = self._place.private is not None
            self._program = begin(spec, streams.job, self._environment, self._place.group, own_tmp=own_tmp)
        finally:
            streams.close_job_ends()
        self._stdio.adopt(streams.ours, spec.tty)
        self._spec = spec._replace(  # arguments and environment may have some MiB
            argv=shown_arguments(spec.argv),
            env={},
            identity=spec.identity or new_identity(spec, self._program),
        )
        self._write_job()

    def _make_streams(self) -> JobStreams:
        streams = make_streams(self._spec, self._environment.terminals)
        self._terminal = streams.terminal
        if self._spec.detach and not self._spec.tty:
            self._attachment.end.stdin_ended = True
        return streams

    def _refuse(self, error: CannotStart) -> None:
        """Tell why nothing runs, and leave no trace of it; the output of a job that moved here stays."""
        self._place.remove_group()
        self._control.send_last(job_messages.encode(StartFailure(error.code, str(error))))
        self._place.remove_private()
        if not (self._spec.detach and self._spec.images):
            self._place.directory.remove()

    def _report(self) -> JobReport:
        assert self._program is not None
        return report(self._spec, self._program, self._environment, self._terminal is not None)

    def _write_job(self) -> None:
        self._place.directory.write(JOB, self._report(), on_disk=self._control.connection is None)

    # -- the loop

    def _step(self) -> None:
        """Wait until something happens, and do what it asks for."""
        poll = select.poll()
        for part in (self._stdio, self._watcher, self._control):
            part.register(poll)
        self._register(poll)
        ready = dict(poll.poll(self._milliseconds_to_wait()))
        self._handle(ready)
        if self._stdio.read_outputs(ready):
            self._watcher.output_came(time.monotonic())
        if self._stdio.stdin in ready:
            self._stdio.feed()
        if self._control.accept(ready):
            self._on_disconnected()
            self._lingering.connected()
            self._tell_state()
        elif not self._control.receive(ready, self._take):
            self._on_disconnected()
        assert self._program is not None
        if self._watcher.reap(ready, self._program.pid, time.monotonic()):
            self._end_the_rest(self._program.pid)
            if self._terminal is not None:
                self._terminal.release()
        self._attachment.note_stop(self._watcher.stop)
        self._on_time(time.monotonic())
        if not self._attachment.send():
            self._on_disconnected()
        if self._attachment.exit is not None:
            self._place.remove_group()  # now that the caller is told: the kernel takes its time

    def _register(self, poll: select.poll) -> None:
        """Poll for more than a plain supervisor does."""

    def _handle(self, ready: dict[int, int]) -> None:
        """Handle what `_register` has added."""

    def _end_the_rest(self, pid: int) -> None:
        """End what is left of the job, whose first process ``pid`` has ended."""
        end_the_rest(self._environment.namespace, pid)

    def _milliseconds_to_wait(self) -> int | None:
        """Return the time until a deadline, None when there is none."""
        deadlines = [] if self._frozen else self._watcher.deadlines()
        deadlines += self._lingering.deadlines()
        if not deadlines:
            return None
        return max(0, int((min(deadlines) - time.monotonic()) * 1000) + 1)

    def _on_time(self, now: float) -> None:
        """Do what is due."""
        if self._lingering.is_check_due(now) and not self._place.directory.has_socket():
            self._on_deserted()
        if not self._frozen:
            self._on_watcher_deadlines(now)
        idle = self._attachment.exit is not None and not self._attachment.attached
        self._done = self._lingering.is_over(now, idle) or self._done

    def _on_watcher_deadlines(self, now: float) -> None:
        watcher = self._watcher
        if watcher.kill_at is not None and now >= watcher.kill_at:
            watcher.kill_at = None
            self._signal(signal.SIGKILL, group=True)
        if watcher.status is None or self._attachment.exit is not None:
            return
        if watcher.drain_until is not None and now >= watcher.drain_until:
            self._stdio.close_outputs()
        if not self._stdio.has_output_open:
            watcher.drain_until = None
            self._on_ended(watcher.status)

    def _on_deserted(self) -> None:
        """
        End the job as at a hang-up: its directory is gone and no daemon is connected, so none ever will be.

        A frozen job can no longer be resumed by anyone; it dies with this supervisor.
        """
        self._lingering.desert()
        if self._frozen:
            self._done = True
        else:
            self._hang_up()

    # -- the daemon and the caller behind it

    def _begin_attached(self, wanted: frames.AttachRequest) -> None:
        """Tell the daemon that the job has begun, and attach the caller who waits for that."""
        self._control.send(job_messages.encode(self._report()._replace(attached=True)))
        self._attachment.attach(wanted)

    def _tell_state(self) -> None:
        """Tell a daemon that has just connected what there is."""
        self._control.send(job_messages.encode(self._report()))
        self._attachment.send_exit()

    def _on_disconnected(self) -> None:
        if self._control.listens:
            self._lingering.disconnected(time.monotonic())
        self._attachment.connection_lost()

    def _take(self, frame: frames.Frame) -> None:
        """Do what a frame asks for. :raises MalformedReply: it asks for nothing that can be."""
        kind, payload = frame
        if kind == frames.STDIN:
            self._stdio.receive_input(payload)
        elif kind == frames.ACK:
            self._attachment.end.acknowledge(payload)
        elif kind == frames.STDIN_END:
            self._stdio.end_input()
        elif kind == frames.ATTACH:
            wanted = frames.decode_attach(payload)
            if wanted.detach:
                self._attachment.detach()
            else:
                self._before_attach()
                self._attachment.attach(wanted)
        elif kind == frames.SIGNAL:
            self._signal(*frames.decode_signal(payload))
        elif kind == frames.WINSIZE:
            self._stdio.set_size(*frames.decode_winsize(payload))
        elif kind == frames.HANGUP:
            self._hang_up()
        elif kind == frames.COLLECTED:
            self._done = self._attachment.exit is not None
        elif kind == frames.MOVE:
            order = job_messages.decode_order(payload)
            if isinstance(order, KeepOrder):
                for store in self._stores.values():
                    store.keep(order.bytes)
            elif order is not None:
                self._carry_out(order)

    def _carry_out(self, order: Order) -> None:
        """Carry out a step of a migration; a plain supervisor's job cannot move."""

    def _before_attach(self) -> None:
        """Prepare the streams for a caller that attaches."""

    # -- signals and the end

    def _signal(self, number: int, group: bool) -> None:
        """Send a signal, unless the first process has been reaped: its pid may be another process by then."""
        if self._program is None or self._watcher.status is not None:
            return
        if number == signal.SIGCONT:
            self._watcher.note_stop(False)
            self._attachment.note_stop(0)
        with suppress(ProcessLookupError, PermissionError):  # not root's, and a program with others' rights
            if number in STOP_SIGNALS:
                send_stop(self._program.pid, number, group)
            elif group:
                os.killpg(self._program.pid, number)
            else:
                os.kill(self._program.pid, number)

    def _hang_up(self) -> None:
        """Tell the job that its caller is gone as a terminal would, and kill it if it does not end."""
        if self._watcher.plan_kill(time.monotonic()):
            self._signal(signal.SIGHUP, group=True)
            self._signal(signal.SIGCONT, group=True)
            if self._terminal is not None and self._program is not None:
                self._terminal.hang_up(self._program.pid)

    def _on_ended(self, status: int) -> None:
        """Write down how the job ended: everything is known."""
        lost = sum(store.lost for store in self._stores.values())
        reasons = [LOST.format(lost)] if lost else []
        if self._place.private is not None and (hint := self._private_hint(self._place.private, status)):
            reasons.append(hint)
        if self._place.group is not None:
            reasons = [text for text in (self._place.group.out_of_memory(), *reasons) if text]
        ended = JobExit(status, "; ".join(reasons), signal=self._watcher.signal)
        self._attachment.exit = ended
        self._place.directory.write(EXIT, ended, on_disk=self._control.connection is None)
        self._stdio.close()

    def _private_hint(self, private: PrivateDirectories, status: int) -> str:
        """Return a hint for the user about the job's own temporary directories; empty when there is none."""
        end = self._attachment.end
        said = b"".join(self._stdio.last.get(kind, b"") for kind in end.outputs)
        return private_hint(private, self._spec.argv, said, status)

    def _leave(self) -> None:
        """Remove what is of no use any more; the output of a detached job is collected later."""
        self._place.remove_private()
        if not self._lingering.deserted:
            self._place.leave(has_output=self._spec.detach)
