"""
The fork server: a small process beside the daemon that forks the supervisors of jobs.

A supervisor that is forked here starts within milliseconds and shares nearly all of its memory with the
others. The daemon itself, with its threads and connections, could not be forked safely. The fork server ends
with the daemon; supervisors go on. Standard library only.

`gomd.jobs.lifecycle.forkserver_client` starts it with a socket at descriptor 0. Each byte that comes over the
socket brings a descriptor along, the connection of a new supervisor, and says whether that gets namespaces of
its own.
"""

from __future__ import annotations

import array
import gc
import os
import signal
import socket
import sys
from contextlib import suppress

from gomd.jobs.supervisor.attributes import reset_keys
from gomd.jobs.supervisor.checkpointing import CheckpointingSupervisor
from gomd.jobs.supervisor.kernel import become_subreaper, set_name
from gomd.jobs.supervisor.kinds import NAMESPACE
from gomd.jobs.supervisor.serve import serve
from gomd.jobs.supervisor.spawn import enclose


def main() -> None:
    """Fork a supervisor for every connection that comes, until the daemon is gone. Blocks."""
    set_name("gomd-launcher")
    reset_keys(os.geteuid(), os.getegid())  # a process that criu restores gets its supervisor's keyring
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for supervisors
    # Nor does the daemon, or whatever else is process 1 of a container: a supervisor that ended would stay a
    # zombie of that one for ever.
    become_subreaper()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when its socket does
    daemon = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    if os.geteuid() == 0:
        _load_for_moves()
    gc.collect()
    gc.disable()
    gc.freeze()  # a collection in a child would touch, and so copy, every page
    while (asked := _receive(daemon)) is not None:
        _fork(daemon, *asked)


def _load_for_moves() -> None:
    """
    Load what a supervisor needs whose job moves: TLS above all.

    Loaded here it is shared by all of them. A supervisor that loads it by itself takes ten milliseconds and
    two megabytes for that, while somebody waits for the move. Where there is no TLS jobs run all the same,
    and the first one that is to move says so.
    """
    with suppress(ImportError, OSError):  # those of ssl are such, too
        from gomd.jobs.checkpoint import begun_dump, move_tls, page_relay, page_tls, tree_connection  # noqa: F401

        move_tls.warm_up()


def _receive(daemon: socket.socket) -> tuple[int, bool] | None:
    """Return the next descriptor and whether it comes with `NAMESPACE`; None when the daemon is gone."""
    while True:
        data, control, _flags, _address = daemon.recvmsg(1, socket.CMSG_LEN(4))
        if not data:
            return None
        for level, kind, payload in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                [descriptor] = array.array("i", payload[:4])
                os.set_inheritable(descriptor, False)
                return descriptor, data == NAMESPACE


def _fork(daemon: socket.socket, connection: int, namespace: bool) -> None:
    try:
        pid = os.fork()
    except OSError:
        _print_error()  # the daemon sees the connection end
    else:
        if pid == 0:
            _supervise(daemon, connection, namespace)
    os.close(connection)


def _print_error() -> None:
    """Print the error that is being handled; `traceback` would cost every supervisor memory."""
    sys.excepthook(*sys.exc_info())


def _supervise(daemon: socket.socket, connection: int, namespace: bool) -> None:
    """Become a supervisor; never returns."""
    try:
        daemon.close()
        os.setsid()
        enclose(
            lambda environment: serve(socket.socket(fileno=connection), environment, CheckpointingSupervisor),
            namespace,
        )
    except BaseException:  # noqa: BLE001 - the edge of the process: say it in the log
        _print_error()
    finally:
        os._exit(0)
