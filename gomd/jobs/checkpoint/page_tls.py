"""TLS for a job's memory, with certificates of the cluster at both ends. Standard library only."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Final

from libgomd.errors import CannotMove

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.criu import TlsFiles

_BROKEN: Final = "the connection to the page server broke"
_DIFFER: Final = "the page server and this node do not agree on the cluster's certificates"
#: Seconds that either end may keep the other waiting.
STALL_TIMEOUT: Final = 120.0
#: Seconds for the last words, which nothing depends on.
_BYE_TIMEOUT: Final = 2.0


def connect(address: str, port: int, files: TlsFiles) -> ssl.SSLSocket:
    """Connect to the page server of another node. Blocks. :raises CannotMove: it cannot be done."""
    try:
        plain = socket.create_connection((address, port), STALL_TIMEOUT)
    except OSError as error:
        raise CannotMove(f"{_BROKEN} ({error.strerror or 'it does not answer'})") from error
    return _wrap(plain, files, server=False)


def accept(plain: socket.socket, files: TlsFiles) -> ssl.SSLSocket:
    """Begin to speak TLS with a source that has connected. Blocks. :raises CannotMove: it cannot be done."""
    return _wrap(plain, files, server=True)


def say_goodbye(stream: ssl.SSLSocket) -> None:
    """End the stream so that the other end sees that nothing is missing. Blocks briefly; no error."""
    try:
        stream.settimeout(_BYE_TIMEOUT)
        stream.unwrap()
    except (OSError, ValueError):
        pass
    finally:
        stream.close()


def reason(error: OSError) -> str:
    """Return why a connection broke, a clause."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return _DIFFER
    return f"{_BROKEN} ({error.strerror or 'it does not answer'})"


def _wrap(plain: socket.socket, files: TlsFiles, server: bool) -> ssl.SSLSocket:
    try:
        plain.settimeout(STALL_TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # a node has no name in it: the cluster's key is what counts
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(files.authorities)
        context.load_cert_chain(files.certificate, files.key)
        if server:
            context.num_tickets = 0
        return context.wrap_socket(plain, server_side=server)
    except OSError as error:
        plain.close()
        raise CannotMove(reason(error)) from error
