"""What makes an equal terminal: modes in which typed bytes stand for themselves, and its JSON."""

from __future__ import annotations

import json
import os
import termios
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomd.jobs.supervisor import terminal_state
from gomd.jobs.supervisor.terminal_state import (
    MAX_TYPED,
    NO_CHARACTER,
    HandedTerminal,
    TerminalModes,
    TypedAhead,
)


@pytest.fixture
def modes() -> Iterator[TerminalModes]:
    """Return the modes of a new terminal."""
    near, far = os.openpty()
    try:
        yield TerminalModes.read(far)
    finally:
        os.close(near)
        os.close(far)


def test_what_was_read_can_be_written(modes: TerminalModes) -> None:
    """A terminal with other modes gets these."""
    near, far = os.openpty()
    try:
        modes.literal(1).write(far)
        assert TerminalModes.read(far) == modes.literal(1) != modes
        modes.write(far)
        assert TerminalModes.read(far) == modes
    finally:
        os.close(near)
        os.close(far)


def test_what_is_no_terminal_is_an_error(modes: TerminalModes) -> None:
    """One that the supervisor of a job can handle."""
    with open(os.devnull, "rb") as file:
        with pytest.raises(OSError, match="ioctl"):
            TerminalModes.read(file.fileno())
        with pytest.raises(OSError, match="ioctl"):
            modes.write(file.fileno())


def test_every_byte_stands_for_itself(modes: TerminalModes) -> None:
    """No echo, no signals, no editing, no other end of a line; what the reader gets stays lines."""
    literal = modes.literal(7)
    assert modes.gives_lines
    assert literal.gives_lines
    assert not literal.flags[0] & (termios.ICRNL | termios.IXON | termios.ISTRIP)
    assert not literal.flags[3] & (termios.ECHO | termios.ECHONL | termios.ISIG)
    for name in ("VINTR", "VERASE", "VKILL", "VLNEXT", "VWERASE", "VSUSP", "VSTOP"):
        assert literal.characters[getattr(termios, name)] == NO_CHARACTER
    assert literal.characters[termios.VEOF] == 7
    assert literal.flags[1:3] + literal.flags[4:] == modes.flags[1:3] + modes.flags[4:]


def test_all_there_is_at_once(modes: TerminalModes) -> None:
    """A reader waits for nothing; of a terminal that gives no lines the rest of the modes is the same."""
    immediate = modes.immediate()
    assert not immediate.gives_lines
    assert immediate.characters[termios.VMIN] == immediate.characters[termios.VTIME] == 0
    assert immediate.immediate() == immediate


def test_how_a_line_ends(modes: TerminalModes) -> None:
    """By a line feed or a character that was set for it; else an end of file was typed."""
    assert modes.ends_line(b"one\n")
    assert not modes.ends_line(b"one")
    assert not modes.ends_line(b"one\0")
    characters = bytearray(modes.characters)
    characters[termios.VEOL] = ord("|")
    assert modes._replace(characters=bytes(characters)).ends_line(b"one|")


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_ends_of_files_are_typed_by_a_byte_that_nothing_else_is(data: bytes, places: list[int]) -> None:
    """So what is between them arrives unchanged."""
    ends = tuple(sorted(place for place in places if place <= len(data)))
    typed, end = TypedAhead(data, ends).with_ends()
    if not ends or end == NO_CHARACTER:
        assert typed == data
        return
    assert end not in data
    assert end != ord("\n")
    pieces = typed.split(bytes((end,)))
    assert b"".join(pieces) == data
    begins = [sum(map(len, pieces[: number + 1])) for number in range(len(ends))]
    assert begins == list(ends)


def test_when_every_byte_occurs() -> None:
    """No end of file can be typed: the bytes matter more."""
    everything = bytes(range(256))
    assert TypedAhead(everything, (5,)).with_ends() == (everything, NO_CHARACTER)


def test_it_comes_back(modes: TerminalModes) -> None:
    """As it was, through JSON."""
    terminal = HandedTerminal((50, 132, 0, 0), modes, 312, TypedAhead(b"ls\n\0\xff", (3, 5)), "tty[500:6]")
    assert terminal_state.from_json(json.loads(json.dumps(terminal_state.to_json(terminal)))) == terminal
    plain = HandedTerminal((24, 80, 0, 0), modes, 300)
    assert terminal_state.from_json(json.loads(json.dumps(terminal_state.to_json(plain)))) == plain


@pytest.mark.parametrize("change", [
    {"size": [24, 80]}, {"size": [24, 80, 0, -1]}, {"size": None}, {"size": [24, 80, 0, True]},
    {"flags": [1, 2, 3]}, {"flags": "123456"}, {"flags": [1 << 32] * 6}, {"characters": []},
    {"characters": [256] * 20}, {"characters": None}, {"foreground": -1}, {"foreground": "300"},
    {"foreground": None}, {"typed": [300]}, {"typed": "ls"}, {"typed": [1] * (MAX_TYPED + 1)},
    {"ends": [2, 1]}, {"ends": [9]}, {"ends": None}, {"device": None}, {"device": "file[1:2]"},
    {"device": "tty[500:6]:x"}, {"device": "tty[500]"}, {"device": "tty[:]"}, {"device": "tty[500:-6]"},
])  # fmt: skip
def test_what_describes_no_terminal(modes: TerminalModes, change: dict[str, Any]) -> None:
    """It comes from another node, and the name of the device becomes an argument of criu's."""
    told = terminal_state.to_json(HandedTerminal((24, 80, 0, 0), modes, 300, TypedAhead(b"ab", (1, 2))))
    told = json.loads(json.dumps(told))
    assert terminal_state.from_json(told)
    with pytest.raises(ValueError, match="terminal"):
        terminal_state.from_json({**told, **change})
    nothings: tuple[object, ...] = (None, [], "x", {})
    for nothing in nothings:
        with pytest.raises(ValueError, match="terminal"):
            terminal_state.from_json(nothing)


def test_what_criu_calls_a_terminal() -> None:
    """The numbers of the device and of its file system, in hexadecimal digits."""
    assert terminal_state.device_name(0x500, 6) == "tty[500:6]"
