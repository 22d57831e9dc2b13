"""The escape character at the start of a line, as ssh has it: the way out of a job that has the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

from libgomd.errors import MalformedRequest

#: The escape character unless `-e` names another one.
DEFAULT_ESCAPE: Final = ord("~")
_SUSPEND: Final = 0x1A  # Ctrl-Z
_ENDS_OF_LINES: Final = b"\r\n"


class Escape(Enum):
    """The meanings of the character behind the escape character."""

    LEAVE = "."
    SUSPEND = "^Z"
    HELP = "?"


class EscapeParser:
    """
    Finds escapes in what is typed.

    :param character: the escape character, None for none.
    """

    def __init__(self, character: int | None) -> None:
        self._character = character
        self._at_start = True
        self._pending = False

    def feed(self, data: bytes) -> Iterator[bytes | Escape]:
        """Yield what is for the job, and the escapes between it; one may begin in one piece of input."""
        if self._character is None:
            if data:
                yield data
            return
        kept = bytearray()
        for byte in data:
            found = self._next(byte)
            if isinstance(found, Escape):
                if kept:
                    yield bytes(kept)
                    kept.clear()
                yield found
            else:
                kept += found
        if kept:
            yield bytes(kept)

    def _next(self, byte: int) -> bytes | Escape:
        assert self._character is not None
        if self._pending:
            self._pending = False
            if byte in _ESCAPES:
                self._at_start = True
                return _ESCAPES[byte]
            self._at_start = byte in _ENDS_OF_LINES
            return bytes((byte,)) if byte == self._character else bytes((self._character, byte))
        if byte == self._character and self._at_start:
            self._pending = True
            self._at_start = False
            return b""
        self._at_start = byte in _ENDS_OF_LINES
        return bytes((byte,))


_ESCAPES: Final = {ord("."): Escape.LEAVE, _SUSPEND: Escape.SUSPEND, ord("?"): Escape.HELP}


def parse_escape(text: str) -> int | None:
    """
    Return the character that `-e` names: ``none``, one character, or ``^X`` for a control character.

    :raises MalformedRequest: it names none.
    """
    if text == "none":
        return None
    if len(text) == 1 and text.isascii():
        return ord(text)
    if len(text) == 2 and text[0] == "^" and text.isascii() and "@" <= text[1].upper() <= "_":
        return ord(text[1].upper()) & 0x1F
    raise MalformedRequest(f"-e takes one character, ^X for a control character, or none, not {text[:40]}")


def shown(character: int) -> str:
    """Return the name of an escape character: as it is, or ``^X``."""
    return chr(character) if 0x20 <= character < 0x7F else f"^{chr(character ^ 0x40)}"


def help_text(character: int, detached: bool) -> str:
    """Return the help that ``~?`` prints, for the escape character in use."""
    name = shown(character)
    leaves = "leave; the job goes on" if detached else "leave; the job is told to end, and killed after 5 s"
    lines = [
        "These escapes are known:",
        f" {name}.   {leaves}",
        f" {name}^Z  suspend gom; the job goes on",
        f" {name}{name}   send {name}",
        f" {name}?   this text",
        "An escape is taken at the start of a line only.",
    ]
    return "\n".join(lines)
