"""
Reads files that people edit. Standard library only.

Editors of other systems add a byte order mark, end lines with CR LF, or write UTF-16. The first two are
removed. The third would look like an empty or broken file, so it is refused with an error that names it.
"""

from __future__ import annotations

from typing import Final

_UTF8_MARK: Final = b"\xef\xbb\xbf"
_OTHER_MARKS: Final = {
    b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip


def plain_bytes(data: bytes) -> bytes:
    """
    Return ``data``, the content of a text file, without a byte order mark and with LF line ends.

    :raises ValueError: it is UTF-16 or UTF-32; the text says what to do.
    """
    for mark, encoding in _OTHER_MARKS.items():
        if data.startswith(mark):
            raise ValueError(f"it is {encoding} text: save it as UTF-8")
    if b"\0" in data:
        raise ValueError("it has zero bytes in it, as UTF-16 text has: save it as UTF-8")
    return data.removeprefix(_UTF8_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def plain_text(data: bytes) -> str:
    """
    Return the text of a file, decoded from what `plain_bytes` returns.

    :raises ValueError: it is not UTF-8; the text says in which line and what to do.
    """
    data = plain_bytes(data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"line {line} is not UTF-8 (byte {data[error.start]:#04x}): save the file as UTF-8"
        ) from error
