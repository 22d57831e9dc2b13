"""Core images of criu's, made here: in which an interrupted call is made again, and in which nothing is."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomd.jobs.checkpoint.core_mending import WaitingCall, changed_image, mend, waiting_calls

_HEAD = struct.pack("<II", 0x54564319, 0x55053847)
_INTERRUPTED = (1 << 64) - 4
R10, AX, DX, SI, DI, CALL, IP, MODE = 8, 11, 13, 14, 15, 16, 17, 28
BASE = {
    R10: 0x10,
    AX: _INTERRUPTED,
    12: 5,
    DX: 0x20,
    SI: 0x30,
    DI: 0x40,
    CALL: 7,
    IP: 0x401002,
    20: 0x7000,
    MODE: 1,
}


def varint(value: int) -> bytes:
    """Return a number as protocol buffers have it."""
    head = value & 0x7F
    return bytes((head,)) if value < 0x80 else bytes((head | 0x80,)) + varint(value >> 7)


def number(field: int, value: int) -> bytes:
    """Return a field with a number."""
    return varint(field << 3) + varint(value)


def message(field: int, data: bytes) -> bytes:
    """Return a field with a message."""
    return varint(field << 3 | 2) + varint(len(data)) + data


def image(**changes: Any) -> bytes:
    """Return a core image with these registers, given as ``r11=...``, and other parts by name."""
    machine, signals, behind = (changes.pop(name, b"") for name in ("machine", "signals", "behind"))
    registers = {**BASE, **{int(name[1:]): value for name, value in changes.items()}}
    inner = b"".join(number(field, value) for field, value in registers.items())
    info = number(1, 0x7F00) + message(2, inner) + message(3, b"\x08\x01") + varint(4 << 3 | 5) + b"1234"
    core = number(1, machine or 1) + message(2, info) + message(3, b"\x08\x02" + message(10, signals))
    return bytes(_HEAD + struct.pack("<I", len(core)) + core + behind)


def test_poll_is_called_again() -> None:
    """With what it was called with; all else in the image is as it was."""
    again = image(r11=7, r17=0x401000, behind=b"more")
    assert changed_image(image(behind=b"more")) == again
    assert changed_image(again) == again


def test_a_sleep_has_what_is_left_of_it() -> None:
    """The kernel has written that where the program said; if it said nothing, the sleep begins anew."""
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"r16": 35}, {"r16": 35, "r11": 35, "r15": BASE[SI]}),
        ({"r16": 35, "r14": 0}, {"r16": 35, "r14": 0, "r11": 35}),
        ({"r16": 230}, {"r16": 230, "r11": 230, "r13": BASE[R10]}),
        ({"r16": 230, "r8": 0}, {"r16": 230, "r8": 0, "r11": 230}),
    ]
    for before, after in cases:
        assert changed_image(image(**before)) == image(**after, r17=0x401000)


@pytest.mark.parametrize("changes", [
    {"r11": 0}, {"r11": (1 << 64) - 512}, {"r16": 0}, {"r16": 202}, {"r16": (1 << 64) - 1}, {"r28": 2},
    {"machine": 2},
])  # fmt: skip
def test_what_stays_as_it_is(changes: dict[str, Any]) -> None:
    """No interrupted call; one that its program repeats; a 32-bit program; another machine."""
    assert changed_image(image(**changes)) == image(**changes)


@given(st.binary(max_size=200))
def test_what_is_no_image(data: bytes) -> None:
    """It is left alone, whatever it is."""
    assert changed_image(data) == data
    whole = image()
    for cut in (data, whole[: len(data)], whole[:-1] + data[:0]):
        assert changed_image(cut) == cut


def test_all_threads_of_a_directory(tmp_path: Path) -> None:
    """Each has an image of its own; other files are not looked at."""
    for name in ("core-300.img", "core-301.img", "mm-300.img", "core-300.img.old"):
        (tmp_path / name).write_bytes(image())
    (tmp_path / "core-302.img").write_bytes(image(r11=0))
    assert mend(str(tmp_path)) == 2
    assert (tmp_path / "core-301.img").read_bytes() == image(r11=7, r17=0x401000)
    assert (tmp_path / "mm-300.img").read_bytes() == image()
    assert mend(str(tmp_path)) == 0


def waiting(number: int, code: int = 0, sender: int = 1) -> bytes:
    """Return a signal that waits."""
    return message(1, message(1, struct.pack("<iii4xii", number, 0, code, sender, 0).ljust(128, b"\0")))


def test_the_sigcont_of_an_earlier_move_is_left_out() -> None:
    """The supervisor sent it; what anybody else has sent, and every other signal, stays."""
    others = waiting(17, 1, 300) + waiting(18, 0, 300) + waiting(18, -1) + waiting(15) + message(1, b"")
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"r11": 0}, {"r11": 0}),
        ({"machine": 2}, {"machine": 2}),
        ({}, {"r11": 7, "r17": 0x401000}),
    ]
    for before, after in cases:
        with_it = image(signals=waiting(18) + others + waiting(18), **before)
        assert changed_image(with_it) == image(signals=others, **after)


def test_a_call_that_was_stopped_before() -> None:
    """The kernel lets it go on by another call; it is the one in which the thread was seen."""
    stopped = image(r16=219)
    assert changed_image(stopped) == stopped
    assert changed_image(stopped, WaitingCall(7, 0x7000, 0x401002)) == image(r16=219, r11=7, r17=0x401000)
    for elsewhere in (WaitingCall(7, 0x7000, 0x401004), WaitingCall(7, 0x7008, 0x401002)):
        assert changed_image(stopped, elsewhere) == stopped


def test_the_calls_in_which_threads_wait(tmp_path: Path) -> None:
    """Only those that are made again; a thread that runs, and one that is gone, waits in none."""
    told = {
        7: "7 0x1 0x2 0x3 0x4 0x5 0x6 0x7000 0x401002",
        8: "running",
        9: "0 0x1 0x2 0x3 0x4 0x5 0x6 0x1 0x2",
    }
    for number, text in told.items():
        (tmp_path / "7" / "task" / str(number)).mkdir(parents=True)
        (tmp_path / "7" / "task" / str(number) / "syscall").write_text(text + "\n")
    assert waiting_calls([7, 10], str(tmp_path)) == {7: WaitingCall(7, 0x7000, 0x401002)}
