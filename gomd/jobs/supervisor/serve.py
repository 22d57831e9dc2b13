"""The start of a supervisor: reads from the daemon what it is to do, and does it."""

from __future__ import annotations

import socket

from gomd.jobs.supervisor.carrier import carry
from gomd.jobs.supervisor.control_socket import ControlSocket
from gomd.jobs.supervisor.lingering import DESERTED_CHECK_INTERVAL
from gomd.jobs.supervisor.spawn import SupervisorEnvironment
from gomd.jobs.supervisor.supervisor import Supervisor
from gomd.jobs.supervisor.viewer import OutputViewer
from libgomd.wire import frames, job_messages
from libgomd.wire.carry_messages import CarrySpec
from libgomd.wire.job_messages import ViewSpec
from libgomd.wire.job_orders import RECEIVED, OrderOutcome

#: Seconds in which the daemon has to describe the job.
SPEC_TIMEOUT = 30.0


def serve(
    connection: socket.socket,
    environment: SupervisorEnvironment,
    kind: type[Supervisor],
    deserted_check: float = DESERTED_CHECK_INTERVAL,
) -> None:
    """
    Be the supervisor of the job that the daemon at ``connection`` describes. Blocks until its end.

    :param kind: what supervises a job that runs. :param deserted_check: see `DESERTED_CHECK_INTERVAL`.
    :raises MalformedFrame: what comes describes no job. :raises OSError: the connection or the job's
        directory cannot be used.
    """
    parser = frames.FrameParser(admits_long_spec=lambda _length: True)
    connection.settimeout(SPEC_TIMEOUT)
    received: list[frames.Frame] = []
    while not received:
        data = connection.recv(frames.CHUNK)
        if not data:
            return
        received.extend(parser.feed(data))
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
        kind(spec, environment, control, deserted_check).run(received[1:])
