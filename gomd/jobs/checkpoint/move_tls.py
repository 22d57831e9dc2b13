"""
The TLS of what a job takes along to another node: both ends have certificates of the cluster.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from libgomd.errors import CannotMove

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.criu import TlsFiles

#: X509_V_FLAG_NO_CHECK_TIME of OpenSSL: clocks of nodes differ, and the certificates are made anew as needed.
_NO_CHECK_TIME: Final = 0x200000
#: Contexts that a process keeps: one for each end.
_KEPT: Final = 2


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return that of the end that connects. Blocks. :raises CannotMove: the certificates cannot be used."""
    return _context(files, server=False)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return that of the end that is connected to. Blocks. :raises CannotMove: as `client_context`."""
    return _context(files, server=True)


def warm_up() -> None:
    """Let OpenSSL read its configuration and find its algorithms: processes that are forked share that."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _context(files: TlsFiles, server: bool) -> ssl.SSLContext:
    try:
        marks = tuple((found.st_ino, found.st_mtime_ns, found.st_ctime_ns) for found in map(os.stat, files))
        return _made(files, server, marks)
    except OSError as error:  # those of ssl are such, too
        raise CannotMove(f"the cluster's certificates cannot be used: {error.strerror or error}") from error


@lru_cache(_KEPT)
def _made(files: TlsFiles, server: bool, _marks: tuple[tuple[int, ...], ...]) -> ssl.SSLContext:
    """Return a context. To make it takes milliseconds, so it is kept while the files stay as they are."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False  # a node has no name in it: the cluster's key is what counts
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= _NO_CHECK_TIME
    made.load_verify_locations(files.authorities)
    made.load_cert_chain(files.certificate, files.key)
    if server:
        made.num_tickets = 0
    return made
