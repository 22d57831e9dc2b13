"""Rows of a round of a watch, as lines and as bytes: made once for all viewers, numbered for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from libgomd.wire.lines import EOL, encode_block


class ByteLines(Sequence[str]):
    """Rows of JSON that stay bytes until somebody needs their text. :ivar rows: without their last brace."""

    def __init__(self, rows: list[bytes]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return ByteLines(self.rows[at])
        return self.rows[at].decode("ascii") + "}"


class SharedPiece:
    """Some rows of a round in JSON. :ivar lines: they, as they are without a watch."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines

    @cached_property
    def encoded(self) -> list[bytes]:
        """The rows as bytes, without their last brace."""
        if isinstance(self.lines, ByteLines):
            return self.lines.rows
        return encode_block([line[:-1] for line in self.lines]).split(EOL)[:-1]


class NumberedLines(Sequence[str]):
    """
    Rows of a round as one viewer gets them. What all viewers get alike is made once.

    :param shared: the rows. :param end: what this viewer's rows end with, instead of their last brace.
    """

    def __init__(self, shared: SharedPiece, end: str) -> None:
        self._shared = shared
        self._end = end

    def __len__(self) -> int:
        return len(self._shared.lines)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [f"{line[:-1]}{self._end}" for line in self._shared.lines[at]]
        return f"{self._shared.lines[at][:-1]}{self._end}"

    def __iter__(self) -> Iterator[str]:
        end = self._end
        return (f"{line[:-1]}{end}" for line in self._shared.lines)

    def encoded(self) -> bytes:
        """Return these lines as `encode_block` encodes them."""
        end = self._end.encode() + EOL
        return end.join(self._shared.encoded) + end if self._shared.lines else b""
