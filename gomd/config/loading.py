"""
Loads a `Config`: reads the file, applies the command line, and checks both against gomd.spec.ini.

Loading does not stop at the first mistake. Each is noted with its place, and all are raised together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from configobj import ConfigObj, flatten_errors
from configobj.validate import Validator

from gomd.config.assembly import assemble, contradictions
from gomd.config.checks import CHECKS
from gomd.config.commands import COMMAND_NAME
from gomd.config.environment import Environment
from gomd.config.inifile import IniFile, Name, read_file
from gomd.config.mistakes import Mistakes
from gomd.config.old_names import renamed
from gomd.config.overrides import parse_override
from gomd.config.settings import Config
from libgomd.similar_names import most_similar

SPEC = Path(__file__).parent.parent / "gomd.spec.ini"


def load(path: str | None, overrides: Sequence[str] = (), around: Environment | None = None) -> Config:
    """
    Return the configuration. Blocks while it reads a small file.

    :param path: the file, from `find_file`; None to use the defaults only.
    :param overrides: ``section.key=value`` from the command line. A later one overrides an earlier one.
    :param around: by default that of this process. Pass the same one when loading again.
    :raises ConfigError: with every mistake, in the order of the file.
    """
    around = around or Environment.of_this_process()
    spec = read_spec()
    file = read_file(path) if path else IniFile()
    overrides, warnings = renamed(file, overrides)
    mistakes = Mistakes(path or "", file, overrides)
    values = {section: dict(keys) for section, keys in file.values.items()}
    for text in overrides:
        override = parse_override(text)
        if override is None:
            mistakes.add_override(text, "must be section.key=value, such as node.name=alpha")
            continue
        mistakes.overrides[override.section, override.key] = text
        values.setdefault(override.section, {})[override.key] = override.value
    _drop_unknown(values, spec, mistakes)
    checked = _check(values, spec, mistakes)

    def base(name: Name) -> str:
        """Return the directory of the file that has this setting, else the working directory."""
        from_file = path and name in file.lines and name not in mistakes.overrides
        return str(Path(around.cwd, path).parent) if path and from_file else around.cwd

    config = assemble(path, checked, base, around, warnings)
    for names, sentence in contradictions(config):
        if mistakes.bad.isdisjoint(names):
            mistakes.add(names[0], None, sentence)
    mistakes.raise_if_any()
    return config


def read_spec() -> ConfigObj:
    """Return gomd.spec.ini: the keys of each section with their checks and defaults."""
    return ConfigObj(
        str(SPEC), interpolation=False, list_values=False, _inspec=True, file_error=True, encoding="utf-8"
    )


def _drop_unknown(values: dict[str, dict[str, str]], spec: ConfigObj, mistakes: Mistakes) -> None:
    """Note every section and key that is not in the spec as a mistake, and remove it from ``values``."""
    for section in list(values):
        if section not in spec.sections:
            mistakes.add_section(section, f"there is no such section{_near_or_all(section, spec.sections)}")
            for key in values.pop(section):
                mistakes.bad.add((section, key))
            continue
        for key in list(values[section]):
            if section == "commands":
                if COMMAND_NAME.fullmatch(key):
                    continue
                sentence = "a command's name must be a-z, 0-9, '_' and '-', beginning with a letter or digit"
            elif key in spec[section].scalars:
                continue
            else:
                sentence = f"[{section}] has no such key{_hint(section, key, spec)}"
            mistakes.add((section, key), None, sentence)
            del values[section][key]


def _hint(section: str, key: str, spec: ConfigObj) -> str:
    if near := _nearest(key, spec[section].scalars):
        return near
    homes = [f"[{other}]" for other in spec.sections if key in spec[other].scalars]
    return (
        f"; it belongs into {' or '.join(homes)}" if homes else f"; it has {', '.join(spec[section].scalars)}"
    )


def _near_or_all(word: str, known: Sequence[str]) -> str:
    return _nearest(word, known) or f"; there are {', '.join(known)}"


def _nearest(word: str, known: Sequence[str]) -> str:
    near = most_similar(word.lower(), known)
    return f": did you mean {near}?" if near else ""


def _check(
    values: dict[str, dict[str, str]], spec: ConfigObj, mistakes: Mistakes
) -> dict[str, dict[str, Any]]:
    """Return the checked value of every setting. A value that fails is noted and replaced by the default."""
    config = ConfigObj(values, configspec=spec, interpolation=False, list_values=False)
    validator = Validator(dict(CHECKS))
    result = config.validate(validator, preserve_errors=True)
    for sections, key, error in flatten_errors(config, result):
        section = sections[0]
        is_secret = getattr(error, "secret", False)
        mistakes.add((section, key), None if is_secret else config[section][key], str(error), is_secret)
        if section == "commands":
            del config[section][key]
        else:
            config[section][key] = validator.get_default_value(spec[section][key])
    return {section: dict(_items(config[section])) for section in spec.sections}


def _items(section: Any) -> Iterator[tuple[str, Any]]:
    return ((key, section[key]) for key in section.scalars)
