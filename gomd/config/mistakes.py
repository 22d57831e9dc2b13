"""The mistakes of one reading of the configuration, each with the place where a person can put it right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gomd.config.inifile import IniFile, Name
from gomd.config.scalars import shown
from libgomd.errors import ConfigError
from libgomd.wire.text import printable

#: No more than this many are told; a file of another kind could have one in each line.
MAX_MISTAKES: Final = 50
#: Sorts behind every line of a file.
_LAST: Final = 1 << 60


class Mistakes:
    """
    Collects them; `raise_if_any` tells them all, in the order of the file, the command line's last.

    :param given: the settings of the command line, in their order.
    :ivar overrides: what the command line set, by name, as it was given.
    :ivar bad: the names that have a mistake.
    """

    def __init__(self, path: str, file: IniFile, given: Sequence[str]) -> None:
        self._path = path
        self._given = given
        self._file = file
        self.overrides: dict[Name, str] = {}
        self.bad: set[Name] = set()
        self._found: list[tuple[int, str]] = []
        for line, sentence in file.mistakes:
            self._add_at(line, sentence)

    def add(self, name: Name, value: str | None, sentence: str) -> None:
        """Note that the setting ``name``, with ``value`` if that is to be shown, is wrong."""
        self.bad.add(name)
        section, key = name
        if name in self.overrides:
            self.add_override(self.overrides[name], sentence)
            return
        line = self._file.lines.get(name, 0)
        if not line and self._file.mistakes:
            return  # configobj lost its place at another mistake, and would tell a wrong one here
        what = f"[{section}] {key}" + ("" if value is None else f" = {shown(value)}")
        if line or key in self._file.values.get(section, {}):
            self._add_at(line, f"{what}: {sentence}")
        else:
            self._found.append((_LAST, f"{what}: {sentence}"))

    def add_section(self, section: str, sentence: str) -> None:
        """Note that a whole section is wrong."""
        given = [text for (name, _), text in self.overrides.items() if name == section]
        for text in given:
            self.add_override(text, sentence)
        if section in self._file.sections or not given:
            self._add_at(self._file.sections.get(section, 0), f"[{section}]: {sentence}")

    def add_override(self, text: str, sentence: str) -> None:
        """Note that ``text`` of the command line is wrong."""
        self._found.append((_LAST + self._given.index(text), f"--set {printable(text[:200])}: {sentence}"))

    def raise_if_any(self) -> None:
        """
        Raise what was noted.

        :raises ConfigError: when anything was.
        """
        if not self._found:
            return
        told = [sentence for _, sentence in sorted(self._found, key=lambda each: each[0])]
        if len(told) > MAX_MISTAKES:
            told[MAX_MISTAKES:] = [f"and {len(told) - MAX_MISTAKES} more"]
        raise ConfigError(told)

    def _add_at(self, line: int, sentence: str) -> None:
        place = f"{self._path}:{line}" if line else self._path
        self._found.append((line, f"{place}: {sentence}"))
