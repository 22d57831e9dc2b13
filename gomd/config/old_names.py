"""Sections that have another name now: gomd.ini may still use the old one, and a warning says the new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gomd.config.inifile import IniFile

#: Old name of a section -> its name now.
OLD_SECTIONS: Final[Mapping[str, str]] = {"log": "history"}


def renamed(file: IniFile, overrides: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Move what ``file`` has under old names to the new ones, and return the overrides with new names.

    A key that stands under both names is a mistake, which is added to those of ``file``.

    :returns: the overrides, and a warning for each old name in use.
    """
    warnings = []
    for old, new in OLD_SECTIONS.items():
        in_file = old in file.values
        if in_file:
            _move(file, old, new)
        given = [text for text in overrides if text.lstrip().startswith(f"{old}.")]
        overrides = [
            f"{new}.{text.lstrip().removeprefix(f'{old}.')}" if text in given else text for text in overrides
        ]
        if in_file or given:
            warnings.append(f"[{old}] is called [{new}] now: write [{new}] in gomd.ini")
    return tuple(overrides), tuple(warnings)


def _move(file: IniFile, old: str, new: str) -> None:
    keys = file.values.pop(old)
    there = file.values.setdefault(new, {})
    for key, value in keys.items():
        line = file.lines.pop((old, key), 0)
        if key in there:
            file.mistakes.append((line, f"[{old}] {key} is set in [{new}] too: keep the one in [{new}]"))
            continue
        there[key] = value
        file.lines[new, key] = line
    if old in file.sections:
        file.sections.setdefault(new, file.sections.pop(old))
