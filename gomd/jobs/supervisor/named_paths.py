"""Finds paths of the machine's temporary directories that a job names: arguments, directory, variables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from gomd.jobs.checkpoint.private_mounts import TEMPORARY, place_of

#: Variables that say where temporary files go: a job's own /tmp is there for that.
TMPDIR: Final = "TMPDIR"
_SAME_AS_TMPDIR: Final = ("TMP", "TEMP", "TEMPDIR")
_NOT_NAMED_BY: Final = frozenset((TMPDIR, *_SAME_AS_TMPDIR, "PWD", "OLDPWD"))
#: A path in a text, such as an option or a line of shell: up to what a shell or an option ends it with.
_PATH: Final = re.compile(r"(?:/tmp|/var/tmp|/dev/shm)/[^\s'\"`;|&<>(){}\[\]*?$\\,:=]+")
#: The same in a message of a program.
_SAID: Final = re.compile(rb"(?:/tmp|/var/tmp|/dev/shm)/[^\s'\"`;|&<>(){}\[\]*?$\\,:=\x00-\x1f\x7f-\xff]+")
#: Characters of arguments and environment that are searched.
_MAX_SEARCHED: Final = 4 << 20


class NamedPath(NamedTuple):
    """
    A path below one of `TEMPORARY`.

    :ivar only_file: named by the environment, where a directory is more likely a place for new files.
    """

    path: str
    only_file: bool = False


def named_paths(argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> list[NamedPath]:
    """Return the paths below `TEMPORARY` that a job's description names, each once and normalized. No I/O."""
    found: dict[str, bool] = {}
    left = _MAX_SEARCHED
    inside = cwd in TEMPORARY
    for path in (cwd, *_programs(argv, env)):
        _add(found, path)
    for text in argv:
        if (left := left - len(text)) < 0:
            break
        if place_of(text):
            _add(found, text)
        for path in _PATH.findall(text):
            _add(found, path)
        if inside:
            for word in (text, text.partition("=")[2]):
                if word and not word.startswith("/"):
                    _add(found, os.path.join(cwd, word))
    for name, text in env.items():
        if (left := left - len(text)) < 0:
            break
        if name not in _NOT_NAMED_BY and not name.endswith("PATH"):
            for path in _PATH.findall(text):
                _add(found, path, only_file=True)
    return [NamedPath(path, only_file) for path, only_file in found.items()]


def paths_in(text: bytes) -> list[str]:
    """Return the paths below `TEMPORARY` in what a program has printed, normalized, each once."""
    found: dict[str, bool] = {}
    for path in _SAID.findall(text):
        _add(found, path.decode("ascii").rstrip(".!"))
    return list(found)


def outermost(paths: Iterable[str]) -> list[str]:
    """Return ``paths`` without those that are below another one, in order."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if not (found and path.startswith(found[-1] + "/")):
            found.append(path)
    return found


def with_own_tmpdir(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a job that has a /tmp of its own."""
    own = TEMPORARY[0]
    return {**env, TMPDIR: own, **dict.fromkeys((name for name in _SAME_AS_TMPDIR if name in env), own)}


def _programs(argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Return where the program may be below `TEMPORARY`, when it is looked for in PATH."""
    if not argv or "/" in argv[0]:
        return []
    return [os.path.join(place, argv[0]) for place in env.get("PATH", "").split(":") if place_of(place)]


def _add(found: dict[str, bool], path: str, only_file: bool = False) -> None:
    path = os.path.normpath(path)
    if place_of(path) and "\0" not in path:
        found[path] = found.get(path, True) and only_file
