"""Makes text safe to print: control characters of a process or a client must not reach a terminal."""

from __future__ import annotations

import re

#: A backslash that could be read as the start of an escaped byte.
_LIKE_AN_ESCAPE = re.compile(rb"\\(?=x[0-9a-f]{2})")


def printable(text: str) -> str:
    r"""
    Return ``text`` with every character that is not printable written as ``\xNN`` for each byte in UTF-8.

    Tabs stay, because the kernel aligns its files with them.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else _escaped(char) for char in text)


def printable_bytes(data: bytes) -> str:
    r"""Return ``data`` as text; bytes that are not printable UTF-8 become ``\xNN``."""
    return printable(data.decode("utf-8", "backslashreplace"))


def printable_name(data: bytes) -> str:
    r"""
    Return a name used by the kernel as text. Different names give different texts.

    Bytes that are not printable UTF-8, and tabs, become ``\xNN``, as does a backslash that could be read as
    the start of such an escape.
    """
    return printable_bytes(_LIKE_AN_ESCAPE.sub(rb"\\x5c", data)).replace("\t", "\\x09")


def lines_of(data: bytes) -> list[str]:
    r"""Return the lines of a file, each made printable. Only LF ends a line."""
    if data.endswith(b"\n"):
        data = data[:-1]
    elif not data:
        return []
    return [printable_bytes(line) for line in data.split(b"\n")]


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
