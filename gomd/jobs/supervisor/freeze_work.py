"""
What the child of a supervisor does that freezes the job: before criu dumps it, and behind that.

The child may begin while the job is only offered to the other node (`run_early`). It imports then what it
needs, reads the certificates, and starts a criu that waits (`gomd.jobs.checkpoint.begun_dump`). It does
nothing with the job before the supervisor lets it pass its gate, which the supervisor does when the other
node is ready. Standard library only.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from gomd.jobs.checkpoint import (
    core_mending,
    late_signals,
    lost_state,
    permissions,
    process_tree,
    restrictions,
    whole_process,
    written_files,
)
from gomd.jobs.checkpoint.criu import Criu, TlsFiles
from gomd.jobs.checkpoint.frozen_state import FrozenState
from gomd.jobs.checkpoint.kept_attributes import Attributes
from gomd.jobs.checkpoint.move_limits import largest
from gomd.jobs.checkpoint.outsiders import Outsiders
from gomd.jobs.checkpoint.private_files import check_locks
from gomd.jobs.checkpoint.process_status import ProcessStatus
from gomd.jobs.supervisor.precopying import Ahead, FreezeFacts, Gate, send_ahead
from gomd.jobs.supervisor.private_dirs import PrivateDirectories
from gomd.jobs.supervisor.private_transfer import has_shared_memory, send_trees
from libgomd.errors import CannotMove, GomdError
from libgomd.wire.job_messages import SpawnSpec
from libgomd.wire.job_orders import FreezeOrder

if TYPE_CHECKING:  # ssl costs every supervisor memory
    import ssl

    from gomd.jobs.checkpoint.begun_dump import BegunDump
    from gomd.jobs.checkpoint.page_tls import OutgoingStream
    from gomd.jobs.checkpoint.tree_connection import TreeSender

#: Seconds a child may take beyond criu's own limit.
CHILD_GRACE = 10.0
#: Seconds for which `FreezeWork.linger` waits at most: the daemon tells the other node within one.
_LINGER_TIMEOUT = 5.0


class FreezeWork:
    """
    Make it in the supervisor, and `run` or `run_early` in the child.

    :param pid: of the job's first process. :param spec, private, arrival: the supervisor's.
    :param terminal: the job's end of its terminal, -1 without one.
    :param let_go: closes what the job or the daemon sees the end of when the supervisor closes it.
    :param has_tty_open: whether a process of the job, whose first one is given, has /dev/tty open.
    """

    def __init__(
        self,
        pid: int,
        spec: SpawnSpec,
        private: PrivateDirectories | None,
        arrival: Attributes | None,
        terminal: int,
        let_go: Callable[[], None],
        has_tty_open: Callable[[int], bool],
    ) -> None:
        self._supervisor = os.getpid()
        self._pid = pid
        self._spec = spec
        self._private = private
        self._arrival = arrival
        self._terminal = terminal
        self._let_go = let_go
        self._has_tty_open = has_tty_open
        self._ghost_limit = largest(spec.private_tmp) if private is not None else 0
        self._tls: ssl.SSLContext | None = None
        self._connections: Sequence[TreeSender | OutgoingStream] = ()
        self._outsiders = Outsiders(process_tree.high_pids)

    def run(self, order: FreezeOrder, facts: FreezeFacts | Gate) -> dict[str, object]:
        """
        Freeze the job; return what is to be handed over. Blocks.

        :param facts: a `Gate`: they come there, when the memory has been sent ahead.
        :raises CannotMove: it cannot be done, and the job goes on. :raises OSError: likewise.
        """
        self._let_go()
        return self._freeze(order, facts, None)

    def run_early(self, order: FreezeOrder, facts: FreezeFacts, gate: Gate) -> dict[str, object]:
        """
        Get ready, wait at ``gate``, and then do as `run` does.

        :param order: what is known of it by now. :param facts: those of now.
        """
        self._let_go()
        gate.enter_child()
        begun = self._begin(order, facts)
        try:
            found, last = gate.wait()
            assert last is not None
            signal.setitimer(signal.ITIMER_REAL, last.limit + CHILD_GRACE)
            if begun is not None and found != facts:
                begun.close()
                begun = None
            return self._freeze(last, found, begun)
        finally:
            self._outsiders.close()
            if begun is not None:
                begun.close()

    def _begin(self, order: FreezeOrder, facts: FreezeFacts) -> BegunDump | None:
        """Get ready to freeze; return a criu that waits, None where there can be none."""
        try:
            self._outsiders.begin(whole_process.read_status(f"/proc/{self._pid}"))
            self._read_certificates(order)
            if has_shared_memory(self._pid):
                return None
            return Criu(order.criu).begin_dump(
                self._pid,
                order.directory,
                facts.names,
                allows=self._allows(order.directory, facts.uses_tty),
                terminal=self._terminal,
                ghost_limit=self._ghost_limit,
                connected=self._is_connected(),
            )
        except (GomdError, OSError):
            return None  # the freeze tries again, and says why not

    def _freeze(
        self, order: FreezeOrder, facts: FreezeFacts | Gate, begun: BegunDump | None
    ) -> dict[str, object]:
        from gomd.jobs.checkpoint.page_tls import OutgoingStream
        from gomd.jobs.checkpoint.tree_connection import TreeSender

        pid = self._pid
        tls = self._read_certificates(order)
        memory_sent = bool(order.tree_port) and has_shared_memory(pid)
        sender = stream = ahead = None
        if order.tree_port:
            sender = TreeSender(order.address, order.tree_port, tls, order.limit)
        if not memory_sent:
            stream = OutgoingStream(order.address, order.port, tls)
        self._connections = [each for each in (sender, stream) if each is not None]

        def shake_hands() -> None:
            for each in self._connections:
                each.shake_hands()

        if isinstance(facts, Gate):
            facts.enter_child()
            shake_hands()
            if stream is not None:
                ahead = send_ahead(order, pid, stream)
            facts, _ = facts.wait()
        self._write_out()  # most of it while the job runs
        waiting = core_mending.waiting_calls(process_tree.descendants(pid))
        before = self._check_restrictions(process_tree.descendants(pid))
        if ahead is None:
            shake_hands()  # the other node has worked at it meanwhile
        Criu(order.criu).dump(
            pid,
            order.directory,
            facts.names,
            limit=order.limit - (0.0 if ahead is None else ahead.seconds),
            allows=self._allows(order.directory, facts.uses_tty),
            terminal=self._terminal,
            ghost_limit=self._ghost_limit,
            connected=self._is_connected(),
            relay=None if ahead is None else ahead.relay,
            stream=stream if ahead is None else None,
            begun=begun,
        )
        core_mending.mend(order.directory, waiting)
        pids = process_tree.descendants(pid)
        if not process_tree.keep_stopped(pids):
            raise CannotMove("it does not stay stopped")
        self._write_out()
        self._check_restrictions(pids, before)
        if sender is not None:
            send_trees(sender, order.directory, self._spec, self._private)
        state = FrozenState.read(pids, self._arrival, order.directory)
        sent, seconds = (0, 0.0) if ahead is None else _told(ahead)
        self._connections = ()
        return {"state": state.encode(), "sent": [memory_sent, sent, round(seconds, 4)]}

    def linger(self) -> None:
        """
        Keep the open connections of a freeze that was refused until the other node ends them.

        Else that node says that they broke, and this would be told for the reason. Blocks, in the child.
        """
        poll, end = select.poll(), time.monotonic() + _LINGER_TIMEOUT
        waiting = {each.fileno() for each in self._connections} - {-1}
        for each in waiting:
            poll.register(each, select.POLLIN)
        while waiting:
            ready = poll.poll(max(0.0, end - time.monotonic()) * 1000)
            if not ready:
                return
            for each, _events in ready:
                if not _has_more(each):
                    poll.unregister(each)
                    waiting.discard(each)

    def _allows(self, directory: str, uses_tty: bool) -> Callable[[int], None]:
        """Return the check of the frozen job. :param directory: of the images."""
        supervisor, own, pid, private, uid = (
            self._supervisor, os.getpid(), self._pid, self._private, self._spec.uid
        )  # fmt: skip

        def allows(_pid: int) -> None:
            check_family(supervisor, (pid, own))
            if private is not None:  # else criu refuses all of them
                check_locks(process_tree.descendants(pid), private.view())
            pids = process_tree.descendants(pid)
            if why := permissions.sockets_that_stay(pids, uid) or lost_state.reason_to_stay(pids):
                raise CannotMove(why)
            if self._has_tty_open(pid) != uses_tty:
                raise CannotMove("it opened or closed /dev/tty just as it was to be frozen: try again")
            late_signals.note(pids, directory)

        return allows

    def _check_restrictions(
        self, pids: Collection[int], before: Mapping[int, ProcessStatus] | None = None
    ) -> Mapping[int, ProcessStatus]:
        """Check all, or what has changed since ``before``; return what was seen. :raises CannotMove: no."""
        try:
            if before is None:
                return restrictions.check(pids, self._outsiders)
            restrictions.check_changed(pids, before, self._outsiders)
            return before
        finally:
            self._outsiders.close()

    def _write_out(self) -> None:
        spec = self._spec
        written_files.write_out(process_tree.descendants(self._pid), spec.uid, spec.gid, spec.groups)

    def _is_connected(self) -> bool:
        return permissions.is_connected(process_tree.descendants(self._pid, whole=False))

    def _read_certificates(self, order: FreezeOrder) -> ssl.SSLContext:
        """Return the TLS of the memory and of the files, read once. Blocks. :raises CannotMove: no."""
        from gomd.jobs.checkpoint.move_tls import client_context

        if self._tls is None:
            self._tls = client_context(TlsFiles(*order.tls))
        return self._tls


def _has_more(connection: int) -> bool:
    """Read away what has come over a connection. :returns: False when the other node has ended it."""
    try:
        return bool(os.read(connection, 65536))
    except OSError:
        return False


def _told(ahead: Ahead) -> tuple[int, float]:
    return ahead.sent, ahead.seconds


def check_family(supervisor: int, but: Collection[int]) -> None:
    """Check that criu, which dumps a process and its descendants, dumps all. :raises CannotMove: not all."""
    if any(pid not in but for pid in process_tree.strays(supervisor)):
        raise CannotMove(process_tree.STRAYS)
