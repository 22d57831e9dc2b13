"""The programs: the files here are one list."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import Program
from tests.programs.definitions import (
    archives,
    compilers,
    computing,
    databases,
    interactive,
    languages,
    media,
    pythons,
    refusals,
    servers,
    shells,
)

ALL: Final[tuple[Program, ...]] = (
    *shells.PROGRAMS,
    *archives.PROGRAMS,
    *compilers.PROGRAMS,
    *pythons.PROGRAMS,
    *languages.PROGRAMS,
    *computing.PROGRAMS,
    *media.PROGRAMS,
    *databases.PROGRAMS,
    *servers.PROGRAMS,
    *interactive.PROGRAMS,
    *refusals.PROGRAMS,
)
LIGHT: Final = tuple(program for program in ALL if program.light)
