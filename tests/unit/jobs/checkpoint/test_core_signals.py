"""Signals and timers in criu's images."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from gomd.jobs.checkpoint.core_signals import CoreImage, parse

_MAGIC = struct.pack("=II", 0x54564319, 0x55053847)


def encoded(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def number(name: int, value: int) -> bytes:
    return encoded(name << 3) + encoded(value)


def message(name: int, data: bytes) -> bytes:
    return encoded(name << 3 | 2) + encoded(len(data)) + data


def queue(*infos: bytes) -> bytes:
    return b"".join(message(1, message(1, info)) for info in infos)


def image(core: bytes) -> bytes:
    return _MAGIC + struct.pack("=I", len(core)) + core


ALRM, RT = bytes([14]) + bytes(127), bytes([40]) + bytes(127)
_TIMERS = (
    message(1, number(1, 0) + number(2, 0) + number(3, 0) + number(4, 7)) + message(2, number(1, 0))
    + message(4, number(1, 5) + number(7, 0) + number(10, 0)) + message(4, number(1, 6) + number(8, 900))
)  # fmt: skip


def core(signals: bool) -> bytes:
    task = number(1, 3) + message(6, b"name") + message(7, _TIMERS)
    thread = number(1, 1 << 40) + number(8, 15)
    if signals:
        task += message(10, queue(ALRM, RT))
        thread += message(9, queue(RT))
    return number(1, 1) + message(2, b"\xff" * 300) + message(3, task + number(13, 9)) + message(5, thread)


def test_what_an_image_says() -> None:
    """The signals of the process and of the thread, and which timers go on."""
    assert parse(image(core(True))) == CoreImage((ALRM, RT), (RT,), {5: False, 6: True}, (True, False, False))
    assert parse(b"") == CoreImage() == parse(image(b""))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Nothing is raised, whatever is in an image."""
    parse(image(data))
    parse(_MAGIC + data)
