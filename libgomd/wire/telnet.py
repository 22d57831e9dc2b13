"""Removes telnet options and commands (RFC 854, 855) from the stream of a client."""

from __future__ import annotations

import enum
from typing import Final

IAC: Final = 0xFF
_SE, _SB = 0xF0, 0xFA
_WILL, _DONT = 0xFB, 0xFE


class _State(enum.Enum):
    """The position of the next byte in the telnet protocol."""

    TEXT = "plain data"
    COMMAND = "after an IAC"
    OPTION = "after WILL, WONT, DO or DONT: the option's number"
    PARAMETERS = "inside a subnegotiation"
    PARAMETERS_COMMAND = "after an IAC inside a subnegotiation"


class OptionFilter:
    """
    Removes telnet commands from a stream that arrives in arbitrary pieces.

    A doubled IAC is the data byte 255 and stays, once. Everything else after an IAC is removed.
    """

    def __init__(self) -> None:
        self._state = _State.TEXT

    @property
    def inside(self) -> bool:
        """Whether the stream is inside a telnet command."""
        return self._state is not _State.TEXT

    def feed(self, data: bytes) -> bytes:
        """Return ``data`` without telnet commands."""
        if self._state is _State.TEXT and IAC not in data:
            return data
        kept = bytearray()
        for byte in data:
            self._state = self._step(byte, kept)
        return bytes(kept)

    def _step(self, byte: int, kept: bytearray) -> _State:
        state = self._state
        if state is _State.TEXT:
            if byte == IAC:
                return _State.COMMAND
            kept.append(byte)
            return state
        if state is _State.COMMAND:
            if byte == IAC:
                kept.append(byte)
            elif byte == _SB:
                return _State.PARAMETERS
            elif _WILL <= byte <= _DONT:
                return _State.OPTION
            return _State.TEXT
        if state is _State.OPTION:
            return _State.TEXT
        if state is _State.PARAMETERS:
            return _State.PARAMETERS_COMMAND if byte == IAC else state
        return _State.TEXT if byte == _SE else _State.PARAMETERS
