"""A program that has a cluster's key, and says at a daemon's stream port what it likes."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from libgomd.certificates import node_credentials
from libgomd.derivation import read_keys
from tests.integration.daemon import PATIENCE


class Member:
    """
    A stream whose greeting was read; it says that it is of node 2.

    :param key: the key file. :param directory: for its certificate.
    :raises OSError: it was not let in.
    """

    def __init__(self, key: str, port: int, directory: Path) -> None:
        own = node_credentials(read_keys([key]), 2, "two")
        file = directory / "member.pem"
        file.write_bytes(own.certificate_pem + own.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(file)
        self.stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port), PATIENCE))
        if not self.stream.recv(1000).startswith(b"220 gomd"):
            self.stream.close()
            raise ConnectionError("it was not greeted")

    def __enter__(self) -> Member:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stream.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.stream.sendall(data)

    def lines(self, count: int) -> list[bytes]:
        """Return the next lines."""
        found = b""
        while found.count(b"\r\n") < count:
            data = self.stream.recv(4096)
            assert data, f"the stream ended after {found!r}"
            found += data
        return found.splitlines()

    def ask(self, request: str) -> bytes:
        """Say a line and return the one that answers it."""
        self.send(request.encode() + b"\r\n")
        [line] = self.lines(1)
        return line

    def rest(self) -> bytes:
        """Return what comes until the daemon hangs up, politely or not."""
        found = b""
        try:
            while data := self.stream.recv(4096):
                found += data
        except (ConnectionError, ssl.SSLError):
            pass
        return found
