"""Parses a configuration file: its values as text, the line of each, and the lines that are not valid."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from configobj import ConfigObj, ConfigObjError, DuplicateError, NestingError

from gomd.config.scalars import shown
from libgomd.edited import plain_bytes

#: Largest file that is read, in bytes.
MAX_FILE_BYTES: Final = 1 << 20

#: Section and key of a value.
Name = tuple[str, str]

_SECTION = re.compile(r"\s*\[\s*([^\[\]]*?)\s*\]\s*(#.*)?")
_KEY = re.compile(r"""\s*(".*?"|'.*?'|[^'"=].*?)\s*=\s*(.*)""")


@dataclass
class IniFile:
    """
    The content of a file.

    :ivar values: the text of each key by section, quotes included; only what could be parsed.
    :ivar lines: line number of each key, from 1. :ivar sections: line number of each section.
    :ivar mistakes: line number (0 for the whole file) and sentence of each mistake.
    """

    values: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[Name, int] = field(default_factory=dict)
    sections: dict[str, int] = field(default_factory=dict)
    mistakes: list[tuple[int, str]] = field(default_factory=list)


def read_file(path: str) -> IniFile:
    """Read and parse the file at ``path``. Blocks. A file that cannot be read is returned as a mistake."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return IniFile(mistakes=[(0, f"cannot be read: {error.strerror}")])
    if len(data) > MAX_FILE_BYTES:
        return IniFile(mistakes=[(0, f"is longer than {MAX_FILE_BYTES} bytes")])
    try:
        data = plain_bytes(data)
    except ValueError as error:
        return IniFile(mistakes=[(0, str(error).removeprefix("it "))])
    try:
        return parse(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return IniFile(
            mistakes=[(line, f"is not UTF-8 (byte {data[error.start]:#04x}): save the file as UTF-8")]
        )


def parse(text: str) -> IniFile:
    """Return the content of ``text``. It never raises: mistakes are part of the result."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    found = IniFile()
    _number(lines, found)
    try:
        # list_values=False: a comma in a command belongs to the command. The checks of lists split them.
        parsed = ConfigObj(lines, interpolation=False, list_values=False)
    except ConfigObjError as error:
        parsed = error.config
        found.mistakes += [(each.line_number, _sentence(each, found)) for each in error.errors]
    for name in parsed.scalars:
        found.mistakes.append(
            (found.lines.get(("", name), 0), f"{name} stands before the first [section]: move it into one")
        )
    for section in parsed.sections:
        found.values[section] = {key: parsed[section][key] for key in parsed[section].scalars}
        for inner in parsed[section].sections:
            found.mistakes.append(
                (
                    found.sections.get(f"{section}/{inner}", 0),
                    f"[[{inner}]]: there are no sections in sections: use [section]",
                )
            )
    return found


def _number(lines: list[str], found: IniFile) -> None:
    """Note the first line of every section and key, which configobj does not keep."""
    section = ""
    inside = ""  # the quotes that will end a value of several lines
    for number, line in enumerate(lines, 1):
        if inside:
            inside = "" if inside in line else inside
        elif line.lstrip().startswith("#"):
            continue
        elif line.lstrip().startswith("[["):
            inner = line.strip(" \t[]")
            found.sections.setdefault(f"{section}/{inner}", number)
        elif match := _SECTION.fullmatch(line):
            section = match[1]
            found.sections.setdefault(section, number)
        elif match := _KEY.fullmatch(line):
            found.lines.setdefault((section, match[1].strip("\"'")), number)
            opening = match[2][:3]
            if opening in ("'''", '"""') and opening not in match[2][3:]:
                inside = opening


def _sentence(error: ConfigObjError, found: IniFile) -> str:
    line = shown(error.line.strip())
    if isinstance(error, DuplicateError):
        if match := _SECTION.fullmatch(error.line):
            return f"[{match[1]}] was begun before, in line {found.sections.get(match[1], '?')}: join the two"
        return f"{line}: is set a second time in its section: remove one of them"
    if isinstance(error, NestingError):
        return f"{line}: must be [section], with one bracket on each side"
    if _KEY.fullmatch(error.line):
        return f"{line}: must have its quotes in pairs"
    return f"{line}: must be [section], KEY = VALUE or a # comment"
