"""Text that is safe to print: what a process or a client wrote must not drive anybody's terminal."""

from __future__ import annotations

import re

#: What could be taken for an escaped byte.
_LIKE_AN_ESCAPE = re.compile(rb"\\(?=x[0-9a-f]{2})")


def printable(text: str) -> str:
    r"""
    Return ``text`` with everything that is not printable written as ``\xNN``, byte by byte in UTF-8.

    Tab stays: the kernel aligns its own files with it.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else _escaped(char) for char in text)


def printable_bytes(data: bytes) -> str:
    r"""Return ``data`` as text; bytes that are not printable UTF-8 become ``\xNN``."""
    return printable(data.decode("utf-8", "backslashreplace"))


def printable_name(data: bytes) -> str:
    r"""
    Return a name that the kernel has for something as text: two names are never the same text.

    Bytes that are not printable UTF-8, and tabs, become ``\xNN``, and so does a backslash that stands
    before what could be taken for such a byte.
    """
    return printable_bytes(_LIKE_AN_ESCAPE.sub(rb"\\x5c", data)).replace("\t", "\\x09")


def lines_of(data: bytes) -> list[str]:
    r"""Return the lines of a file, ended by LF alone, each made printable; a last LF ends a line."""
    if data.endswith(b"\n"):
        data = data[:-1]
    elif not data:
        return []
    return [printable_bytes(line) for line in data.split(b"\n")]


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
