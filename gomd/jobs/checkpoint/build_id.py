"""Finds the GNU build id of a program or library, which names its build. Pure."""

from __future__ import annotations

import struct


def build_id(head: bytes) -> str:
    """Return the GNU build id in the beginning ``head`` of an ELF file, empty when there is none."""
    if head[:4] != b"\x7fELF" or len(head) < 64 or head[4] not in (1, 2) or head[5] != 1:
        return ""
    wide = head[4] == 2
    table = struct.unpack_from("<Q" if wide else "<I", head, 32 if wide else 28)[0]
    size, count = struct.unpack_from("<HH", head, 54 if wide else 42)
    for place in range(table, min(table + size * count, len(head) - size + 1), size or 1):
        if struct.unpack_from("<I", head, place)[0] != 4:  # PT_NOTE
            continue
        offset = struct.unpack_from("<Q" if wide else "<I", head, place + (8 if wide else 4))[0]
        length = struct.unpack_from("<Q" if wide else "<I", head, place + (32 if wide else 16))[0]
        if found := _note(head[offset : offset + length]):
            return found
    return ""


def _note(notes: bytes) -> str:
    """Return the build id among ELF notes."""
    place = 0
    while place + 12 <= len(notes):
        name, data, kind = struct.unpack_from("<III", notes, place)
        begin = place + 12 + (name + 3 & ~3)
        if kind == 3 and notes[place + 12 : place + 16] == b"GNU\0" and data <= 64:
            return notes[begin : begin + data].hex()
        place = begin + (data + 3 & ~3)
    return ""
