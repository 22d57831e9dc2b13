"""What happens to a program while it works, in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.programs.running import Running


class Step(ABC):
    """One step. It is done with the program that stays and with the one that moves."""

    @abstractmethod
    def do(self, program: Running) -> None:
        """Do it. Blocks. :raises Unseen: what it waits for does not come. :raises TooQuick: it has ended."""


@dataclass(frozen=True)
class Work(Step):
    """Wait until it has used a part of the processor time that it takes unmoved, from the last move on."""

    part: float

    def do(self, program: Running) -> None:
        program.work(self.part)


@dataclass(frozen=True)
class Seen(Step):
    """Wait until it has written what this regular expression matches, after what was seen before."""

    pattern: bytes

    def do(self, program: Running) -> None:
        program.process.expect(self.pattern)


@dataclass(frozen=True)
class Written(Step):
    """Wait until a file of its directory has so many bytes."""

    name: str
    size: int = 0

    def do(self, program: Running) -> None:
        program.wait_for_file(self.name, self.size)


@dataclass(frozen=True)
class Type(Step):
    """Write to its input."""

    data: bytes

    def do(self, program: Running) -> None:
        program.process.write(self.data)


@dataclass(frozen=True)
class EndInput(Step):
    """End its input."""

    def do(self, program: Running) -> None:
        program.process.close_input()


@dataclass(frozen=True)
class Move(Step):
    """Move it to the other host."""

    def do(self, program: Running) -> None:
        program.move()


@dataclass(frozen=True)
class Beside(Step):
    """
    Run a command, as the same user and in the same directory, on the host where the program is now.

    What it prints belongs to the result.
    """

    command: Sequence[str]

    def do(self, program: Running) -> None:
        program.run_beside(self.command)


@dataclass(frozen=True)
class Companion(Step):
    """
    Start a command in the same place, to run until the program has ended.

    :ivar ready: what it writes when it is ready, a regular expression.
    """

    command: Sequence[str]
    ready: bytes = b""
    user: str = ""

    def do(self, program: Running) -> None:
        program.start_companion(self.command, self.ready, self.user)


@dataclass(frozen=True)
class Signal(Step):
    """Send it a signal, by its name without SIG."""

    name: str

    def do(self, program: Running) -> None:
        program.signal(self.name)


#: A program that computes: moved twice, when it has done a sixth and a third.
TWO_MOVES: Final[Sequence[Step]] = (EndInput(), Work(0.15), Move(), Work(0.2), Move())
#: The same of a program that is refused.
ONE_TRY: Final[Sequence[Step]] = (EndInput(), Work(0.25), Move())
