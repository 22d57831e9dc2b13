"""Checks the directories that a start needs, before anything is made in them."""

from __future__ import annotations

import os

from gomd.config import Config
from libgomd.errors import ConfigError


def check_directories(config: Config) -> None:
    """
    Check that each configured directory exists or can be made; nothing is made here.

    :raises ConfigError: with a sentence for each directory that cannot be used.
    """
    mistakes = []
    state = config.node.state_dir
    if reason := _no_directory(state):
        mistakes.append(
            f"STATE {state} cannot be used ({reason}): set [node] state_dir or --state-dir to a directory of "
            "your own"
        )
    named = [("[jobs] spool", config.jobs.spool)]
    history = config.history
    named += [("[history] path", history.path)] if "flat" in history.kind else []
    has_file = {"sqlite", "postgresql"} & set(history.kind)
    named += [("[history] file", os.path.dirname(history.file))] if has_file else []
    for name, path in named:
        if mistakes and f"{path}/".startswith(f"{state}/"):
            continue
        if reason := _no_directory(path):
            mistakes.append(f"{name} = {path} cannot be used: {reason}")
    if config.node.source != "memory" and not os.path.isdir(config.node.proc_root):
        mistakes.append(f"[node] proc_root = {config.node.proc_root}: there is no such directory")
    if mistakes:
        raise ConfigError(mistakes)


def _no_directory(path: str) -> str:
    """Return why ``path`` is not a directory and cannot be made, empty if it is or can."""
    place = path
    while not os.path.lexists(place):  # missing parents are made too
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        return f"{place} is not a directory"
    if place != path and not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        return f"it does not exist and cannot be made in {place}"
    return ""
