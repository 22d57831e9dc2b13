"""The start of a supervisor: reads from the daemon what it is to do, and does it."""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress

from gomd.jobs.supervisor.carrier import carry
from gomd.jobs.supervisor.control_socket import ControlSocket
from gomd.jobs.supervisor.early_group import EarlyGroup, enter_early
from gomd.jobs.supervisor.kernel import set_name
from gomd.jobs.supervisor.lingering import DESERTED_CHECK_INTERVAL
from gomd.jobs.supervisor.spawn import SupervisorEnvironment
from gomd.jobs.supervisor.supervisor import Supervisor
from gomd.jobs.supervisor.viewer import OutputViewer
from libgomd.wire import frames, job_messages
from libgomd.wire.carry_messages import CarrySpec
from libgomd.wire.job_messages import ViewSpec
from libgomd.wire.job_orders import RECEIVED, STALE, AwaitOrder, OrderOutcome

#: Seconds in which the daemon has to describe the job, once it has begun to.
SPEC_TIMEOUT = 30.0


def serve(
    connection: socket.socket,
    environment: SupervisorEnvironment,
    kind: type[Supervisor],
    deserted_check: float = DESERTED_CHECK_INTERVAL,
) -> None:
    """
    Be the supervisor of the job that the daemon at ``connection`` describes. Blocks until its end.

    The daemon may describe it at once, much later, or never.

    :param kind: what supervises a job that runs. :param deserted_check: see `DESERTED_CHECK_INTERVAL`.
    :raises MalformedFrame: what comes describes no job. :raises OSError: the connection or the job's
        directory cannot be used.
    """
    set_name("gomd-spare")
    _await_daemon(connection, environment.mounts)
    set_name("gomd-job")
    parser = frames.FrameParser(admits_long_spec=lambda _length: True)
    connection.settimeout(SPEC_TIMEOUT)
    received: list[frames.Frame] = []
    group: EarlyGroup | None = None
    while not received:
        data = connection.recv(frames.CHUNK)
        if not data:
            if group is not None:
                group.remove()
            return
        received.extend(parser.feed(data))
        if received and received[0].kind == frames.MOVE:
            order = job_messages.decode_order(received.pop(0).payload)
            if isinstance(order, AwaitOrder) and group is None:
                group = enter_early(order)
                connection.settimeout(None)  # the job's memory may take long to come
    if received[0].kind != frames.SPEC:
        return
    spec = job_messages.decode_spec(received[0].payload)
    connection.sendall(job_messages.encode(OrderOutcome(RECEIVED)))
    if isinstance(spec, CarrySpec):
        carry(spec, connection, received[1:], parser)
        return
    connection.setblocking(False)
    control = ControlSocket(connection, parser)
    if isinstance(spec, ViewSpec):
        OutputViewer(spec, control).run(received[1:])
    else:
        supervisor = kind(spec, environment, control, deserted_check)
        supervisor.take_group(group)
        supervisor.run(received[1:])


def _await_daemon(connection: socket.socket, mounts: int) -> None:
    """Wait until the daemon says something or is gone; tell it when the machine's mount table changes."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if mounts >= 0:
        poll.register(mounts, select.POLLPRI)
    while connection.fileno() not in dict(poll.poll()):
        poll.unregister(mounts)
        with suppress(OSError):  # it is gone: the next look will find that
            connection.sendall(job_messages.encode(OrderOutcome(STALE)))
    if mounts >= 0:
        os.close(mounts)
