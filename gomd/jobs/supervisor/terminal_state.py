"""
The state of a terminal that is needed to recreate it: size, modes, foreground, and what was typed ahead.

No I/O. What was typed ahead has gone through the terminal's input modes already, and it was echoed. So it is
put into the new one in a mode in which every byte stands for itself (`literal_mode`). Lines of a terminal
that gives whole lines (ICANON) are put in as lines, so that a line that was begun can still be edited; an
end of file is typed by a byte that does not occur otherwise.
"""

from __future__ import annotations

import termios
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

#: A character with this value has no function.
NO_CHARACTER: Final = 0
#: Bytes that a terminal holds for its reader. More stays behind it as it was typed: the modes have not been
#: applied to it yet, and nothing of it was echoed.
MAX_TYPED: Final = 4095

_INPUT: Final = (
    "BRKINT", "ICRNL", "IGNCR", "INLCR", "ISTRIP", "IUCLC", "IXANY", "IXOFF", "IXON", "PARMRK", "INPCK",
)  # fmt: skip
_LOCAL: Final = ("ECHO", "ECHOE", "ECHOK", "ECHONL", "ECHOCTL", "ECHOKE", "ISIG", "XCASE")
_CHARACTERS: Final = (
    "VINTR", "VQUIT", "VERASE", "VKILL", "VSUSP", "VSTART", "VSTOP", "VLNEXT", "VWERASE", "VREPRINT",
    "VDISCARD", "VSWTC",
)  # fmt: skip


class TerminalModes(NamedTuple):
    """
    What tcgetattr(3) tells.

    :ivar flags: input, output, control and local modes, and the input and output speed.
    :ivar characters: the control characters, by their numbers.
    """

    flags: tuple[int, ...]
    characters: bytes

    @classmethod
    def read(cls, terminal: int) -> TerminalModes:
        """Return the modes of a terminal. :raises OSError: it is none any more."""
        try:
            *flags, characters = termios.tcgetattr(terminal)
        except termios.error as error:
            raise OSError(*error.args) from error
        return cls(tuple(flags), bytes(c if isinstance(c, int) else c[0] for c in characters))

    def write(self, terminal: int) -> None:
        """Give a terminal these modes at once. :raises OSError: it is none any more, or they are none."""
        try:
            attributes: list[Any] = [*self.flags, list(self.characters)]
            termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        except (termios.error, TypeError, OverflowError, ValueError) as error:
            raise OSError(*error.args) from error

    @property
    def gives_lines(self) -> bool:
        """Whether the reader gets whole lines, which can be edited up to their end."""
        return bool(self.flags[3] & termios.ICANON)

    def literal(self, end: int = NO_CHARACTER) -> TerminalModes:
        """Return modes in which bytes stand for themselves, but those that end lines, and ``end`` a file."""
        flags, characters = list(self.flags), bytearray(self.characters)
        flags[0] &= ~_bits(_INPUT)
        flags[3] &= ~_bits(_LOCAL)
        for name in _CHARACTERS:
            if (place := getattr(termios, name, None)) is not None and place < len(characters):
                characters[place] = NO_CHARACTER
        if self.gives_lines:
            characters[termios.VEOF] = end
        return TerminalModes(tuple(flags), bytes(characters))

    def immediate(self) -> TerminalModes:
        """Return `literal` modes in which a reader gets at once what there is."""
        flags, characters = list(self.literal().flags), bytearray(self.literal().characters)
        flags[3] &= ~termios.ICANON
        characters[termios.VMIN] = characters[termios.VTIME] = 0
        return TerminalModes(tuple(flags), bytes(characters))

    def ends_line(self, data: bytes) -> bool:
        """Whether a line that a reader has got ends as a line does, and not by the end of a file."""
        places = (termios.VEOL, termios.VEOL2)
        ends = {self.characters[place] for place in places} - {NO_CHARACTER} | {ord("\n")}
        return data[-1] in ends


class TypedAhead(NamedTuple):
    """
    What was typed and has not been read yet.

    :ivar data: what the reader gets.
    :ivar ends: positions in it, ascending, at which an end of file was typed.
    """

    data: bytes = b""
    ends: tuple[int, ...] = ()

    def with_ends(self) -> tuple[bytes, int]:
        """
        Return the bytes to type, and the one among them that stands for the end of a file.

        That is `NO_CHARACTER` when there is none; or when every byte occurs, and then the ends are left out.
        """
        used = {*self.data, ord("\n")}
        unused = next((each for each in range(1, 256) if each not in used), NO_CHARACTER)
        if not self.ends or unused == NO_CHARACTER:
            return self.data, NO_CHARACTER
        return b"".join(self._pieces(bytes((unused,)))), unused

    def _pieces(self, end: bytes) -> Iterator[bytes]:
        begin = 0
        for position in self.ends:
            yield self.data[begin:position]
            yield end
            begin = position
        yield self.data[begin:]


class HandedTerminal(NamedTuple):
    """
    The terminal of a frozen job.

    :ivar size: rows, columns, and both in pixels. :ivar modes: see `TerminalModes`.
    :ivar foreground: the process group in the foreground. :ivar typed: see `TypedAhead`.
    :ivar device: what criu calls the descriptors of /dev/tty in its images; empty when there are none.
    """

    size: tuple[int, ...]
    modes: TerminalModes
    foreground: int
    typed: TypedAhead = TypedAhead()
    device: str = ""


def to_json(terminal: HandedTerminal) -> dict[str, Any]:
    """Return ``terminal`` as a JSON object."""
    return {
        "size": terminal.size, "flags": terminal.modes.flags, "characters": list(terminal.modes.characters),
        "foreground": terminal.foreground, "typed": list(terminal.typed.data), "ends": terminal.typed.ends,
        "device": terminal.device,
    }  # fmt: skip


def from_json(told: object) -> HandedTerminal:
    """Return the terminal that a JSON object describes. :raises ValueError: it describes none."""
    if not isinstance(told, dict):
        raise ValueError("a terminal that is no object")
    size = _numbers(told.get("size"), 4, 65535)
    flags = _numbers(told.get("flags"), 6, (1 << 32) - 1)
    characters = bytes(_numbers(told.get("characters"), len(told.get("characters") or ()), 255))
    typed = bytes(_numbers(told.get("typed"), len(told.get("typed") or ()), 255))
    ends = _numbers(told.get("ends"), len(told.get("ends") or ()), len(typed))
    [foreground] = _numbers([told.get("foreground")], 1, (1 << 31) - 1)
    device = told.get("device")
    if len(characters) <= max(termios.VEOL2, termios.VMIN, termios.VEOF) or len(typed) > MAX_TYPED:
        raise ValueError("a terminal with too few or too many characters")
    if list(ends) != sorted(ends) or len(ends) > MAX_TYPED:
        raise ValueError("a terminal with ends out of order")
    if not isinstance(device, str) or (device and not _is_device(device)):
        raise ValueError("a terminal with an invalid name")
    return HandedTerminal(size, TerminalModes(flags, characters), foreground, TypedAhead(typed, ends), device)


def device_name(rdev: int, dev: int) -> str:
    """Return criu's name of a terminal, given the numbers of the device and of its file system."""
    return f"tty[{rdev:x}:{dev:x}]"


def _is_device(name: str) -> bool:
    numbers = name.removeprefix("tty[").removesuffix("]").split(":")
    return name == f"tty[{':'.join(numbers)}]" and len(numbers) == 2 and all(
        0 < len(each) <= 16 and set(each) <= set("0123456789abcdef") for each in numbers
    )  # fmt: skip


def _numbers(value: object, count: int, largest: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) != count:
        raise ValueError("a terminal with a list of another length")
    if not all(type(each) is int and 0 <= each <= largest for each in value):
        raise ValueError("a terminal with a number that is none")
    return tuple(value)


def _bits(names: tuple[str, ...]) -> int:
    """Return the modes of these names that this system has."""
    found = 0
    for name in names:
        found |= getattr(termios, name, 0)
    return found
