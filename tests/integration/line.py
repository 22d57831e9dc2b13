"""The other end of a telnet line, on plain sockets: knows of the protocol only where a reply ends."""

from __future__ import annotations

import json
import socket
from typing import Any, NamedTuple

#: Seconds to wait for anything before the test fails.
PATIENCE = 30.0


class Reply(NamedTuple):
    """A reply as it came: ``block`` is None where none followed."""

    code: int
    text: str
    block: list[str] | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The lines of the block as JSON objects."""
        return [json.loads(line) for line in self.block or ()]

    @property
    def value(self) -> Any:
        """The text as a JSON value."""
        return json.loads(self.text)


class Line:
    """One connection."""

    def __init__(self, address: tuple[str, int] | str) -> None:
        ip = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else ip)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(address)
        self._file = self._socket.makefile("rb")
        self.greeting = self.line()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def local_port(self) -> int:
        """Our end's port, over tcp."""
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def set_patience(self, seconds: float) -> None:
        """Wait so long for each line, instead of `PATIENCE`."""
        self._socket.settimeout(seconds)

    def say_no_more(self) -> None:
        """Close this side only."""
        self._socket.shutdown(socket.SHUT_WR)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def line(self) -> str:
        """Return the next line; it must end as the protocol says."""
        data = self._file.readline()
        assert data.endswith(b"\r\n"), f"the connection ended after {data!r}"
        return data[:-2].decode()

    def block_line(self) -> str | None:
        """Return the next line of a block, None at its end."""
        text = self.line()
        return None if text == "." else text[1:] if text.startswith("..") else text

    def reply(self) -> Reply:
        """Return the next reply, whole."""
        code, _, text = self.line().partition(" ")
        return Reply(int(code), text, list(iter(self.block_line, None)) if code == "201" else None)

    def ask(self, request: str) -> Reply:
        """Send a line and return the reply to it."""
        self.send(request.encode() + b"\r\n")
        return self.reply()

    def at_end(self) -> bool:
        """Whether the daemon has closed the connection and nothing more came before that."""
        return self._file.read() == b""
