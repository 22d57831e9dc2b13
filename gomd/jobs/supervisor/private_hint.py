"""
Tells the user of a job what its own temporary directories have to do with how it ended.

Programs say "no such file" of a file that the user sees in the machine's /tmp; others leave their result in a
/tmp that is removed with the job. Both are told in one sentence, which names `--shared-tmp`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from gomd.jobs.checkpoint.private_mounts import place_of
from gomd.jobs.supervisor.named_paths import named_paths, paths_in

#: What a line of shell writes to.
_REDIRECTED: Final = re.compile(r">\s*((?:/tmp|/var/tmp|/dev/shm)/[^\s'\"`;|&<>(){}\[\]*?$\\]+)")
#: Paths that are looked at.
_MAX_PATHS: Final = 50


class Looking(Protocol):
    """Looks into the private directories with the rights of the job's user."""

    def is_there(self, path: str) -> bool:
        """Whether the job sees anything at ``path``."""

    def is_left_behind(self, path: str) -> bool:
        """Whether a file or directory is at ``path`` that goes with the private directories."""


def private_hint(private: Looking, argv: Sequence[str], said: bytes, status: int) -> str:
    """
    Return a clause for the user, empty when there is nothing to say. Blocks briefly.

    :param said: what the job printed last. :param status: its exit status, as a shell has it.
    """
    named = [each.path for each in named_paths(argv, "/", {})][:_MAX_PATHS]
    for path in results(argv)[:_MAX_PATHS]:
        if private.is_left_behind(path):
            return (
                f"{path} was in the job's own {place_of(path)} and was removed with it: "
                "gom run --shared-tmp uses that of the node"
            )
    if status:
        for path in [*paths_in(said)[:_MAX_PATHS], *named]:
            if not private.is_there(path):
                return (
                    f"there was no {path} in the {place_of(path)} that the job has of its own: "
                    "gom run --shared-tmp shows it that of the node"
                )
    return ""


def results(argv: Sequence[str]) -> list[str]:
    """Return the paths that a command line names as places for results: words, and after ``>`` or ``=``."""
    words = [word for text in argv for word in (text, text.partition("=")[2], text[2:]) if place_of(word)]
    words += [found for text in argv for found in _REDIRECTED.findall(text)]
    return [each.path for each in named_paths(words, "/", {}) if each.path in words]
