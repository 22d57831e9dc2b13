"""What is known of a program: how it is started, what it is given, and what has to come of a move."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.programs.steps import TWO_MOVES, Step

#: A file's content, or what makes it; the latter is called once for each run.
Content = bytes | str | Callable[[], bytes]
#: The user of most programs, and the other one.
ORDINARY, ROOT = "nobody", "root"


@dataclass(frozen=True)
class Refused:
    """
    The job stays: `gom migrate --dry-run` says so, and `gom migrate` says the same before it stops anything.

    :ivar because: a regular expression that the reason has to match.
    """

    because: str


@dataclass(frozen=True)
class Moved:
    """The job moves each time it is asked to, and does the same as one that stayed."""


MOVED: Final = Moved()


@dataclass(frozen=True)
class Program:
    """
    One program, run in a new directory below its user's home, which both hosts see.

    :ivar name: unique. :ivar about: what it does, for the table.
    :ivar needs: the commands it takes and the Debian packages that they are in.
    :ivar files: what is in its directory before it starts, by name.
    :ivar before: what happens before it starts.
    :ivar steps: what happens to it while it works; the moves among them are left out when it is run unmoved.
    :ivar ignore: patterns of the names of files whose content is not the same twice, moved or not.
    :ivar mask: patterns of output that is not the same twice, moved or not; what they match is not compared.
    :ivar status: the exit status that it has unmoved.
    :ivar terminal: whether it has a terminal. :ivar compare_output: False where a terminal's output depends
        on when it was drawn; the steps say then what has to be seen.
    :ivar light: whether it is one of the dozen that `make test` runs.
    """

    name: str
    about: str
    command: Sequence[str]
    needs: Mapping[str, str]
    files: Mapping[str, Content] = field(default_factory=dict)
    before: Sequence[Step] = ()
    steps: Sequence[Step] = TWO_MOVES
    expect: Moved | Refused = MOVED
    user: str = ORDINARY
    status: int = 0
    terminal: bool = False
    compare_output: bool = True
    ignore: Sequence[str] = ()
    mask: Sequence[bytes] = ()
    light: bool = False

    @property
    def directory(self) -> str:
        """The name of its directory."""
        return self.name.replace(" ", "-")
