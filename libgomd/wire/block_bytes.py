"""Lines of a block as the bytes that came: passed on as they are, taken apart only for whoever reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final

from libgomd.wire.lines import EOL, THEMSELVES, encode_block

#: Lines in one piece; taking so many apart takes less than a millisecond.
MAX_LINES: Final = 200


class BlockBytes(Sequence[str]):
    """
    Some lines of a block.

    :param data: whole lines, each with its end, as another daemon has sent them.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    @cached_property
    def _lines(self) -> list[str]:
        return [
            _undotted((line[:-1] if line.endswith(b"\r") else line).decode("utf-8", "backslashreplace"))
            for line in self._data.split(b"\n")[:-1]
        ]

    def __len__(self) -> int:
        return self._data.count(b"\n")

    def __getitem__(self, at: Any) -> Any:
        return self._lines[at]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def encoded(self) -> bytes:
        """Return these lines as `encode_block` encodes them: the other daemon need not be believed."""
        data = self._data
        ends = data.count(EOL)
        plain = ends == len(self) and data.translate(None, THEMSELVES) == EOL * ends
        if plain and not data.startswith(b".") and b"\n." not in data:
            return data  # no character is to be escaped, and no dot doubled
        return encode_block(self._lines)


def pieces_of(data: bytes) -> Iterator[BlockBytes]:
    """Yield whole lines in pieces of at most `MAX_LINES`."""
    if data.count(b"\n") <= MAX_LINES:
        yield BlockBytes(data)
        return
    lines = data.split(b"\n")[:-1]
    for start in range(0, len(lines), MAX_LINES):
        yield BlockBytes(b"\n".join(lines[start : start + MAX_LINES]) + b"\n")


def _undotted(text: str) -> str:
    return text[1:] if text.startswith("..") else text
