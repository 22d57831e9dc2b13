"""Collects the mistakes of one loading of the configuration, each with the place to correct it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gomd.config.inifile import IniFile, Name
from gomd.config.scalars import shown
from libgomd.errors import ConfigError
from libgomd.wire.text import printable

#: Maximum number of mistakes reported. A file of another kind could have one in each line.
MAX_MISTAKES: Final = 50
#: A password in a text that may be anything: in a URL, or as a word of its own.
_CREDENTIALS: Final = re.compile(r"://[^/?#]*:[^/?#]*@|pass(word|wd|phrase)?\s*=", re.IGNORECASE)
#: Sorts after every line of a file.
_LAST: Final = 1 << 60


class Mistakes:
    """
    The mistakes found so far. `raise_if_any` reports them in the order of the file, then the command line.

    :param given: the settings of the command line, in their order.
    :ivar overrides: the settings of the command line by name, as they were given.
    :ivar bad: names of the settings that have a mistake.
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

    def add(self, name: Name, value: str | None, sentence: str, secret: bool = False) -> None:
        """
        Note a mistake in the setting ``name``; its ``value`` is shown unless it is None.

        :param secret: whether the command line must not be shown either.
        """
        self.bad.add(name)
        section, key = name
        if name in self.overrides:
            self.add_override(
                self.overrides[name], sentence, secret or (value is None and _sounds_secret(key))
            )
            return
        line = self._file.lines.get(name, 0)
        if not line and self._file.mistakes:
            return  # configobj lost its position at another mistake, so this one may be wrong
        what = f"[{section}] {key}" + ("" if value is None else f" = {shown(value)}")
        if line or key in self._file.values.get(section, {}):
            self._add_at(line, f"{what}: {sentence}")
        else:
            self._found.append((_LAST, f"{what}: {sentence}"))

    def add_section(self, section: str, sentence: str) -> None:
        """Note a mistake in a whole section."""
        given = [text for (name, _), text in self.overrides.items() if name == section]
        for text in given:
            self.add_override(text, sentence, _sounds_secret(text.partition("=")[0]))
        if section in self._file.sections or not given:
            self._add_at(self._file.sections.get(section, 0), f"[{section}]: {sentence}")

    def add_override(self, text: str, sentence: str, secret: bool = False) -> None:
        """Note a mistake in ``text``, a setting of the command line. :param secret: do not show its value."""
        shown_text = text
        if secret or _CREDENTIALS.search(text):
            shown_text = f"{re.split('[= ]', text, maxsplit=1)[0]}=..."
        self._found.append(
            (_LAST + self._given.index(text), f"--set {printable(shown_text[:200])}: {sentence}")
        )

    def raise_if_any(self) -> None:
        """
        Raise the mistakes that were noted.

        :raises ConfigError: there is at least one.
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


def _sounds_secret(key: str) -> bool:
    """Return whether a value under a key that does not exist may be a password."""
    return any(word in key.lower() for word in ("pas", "secret", "token"))
