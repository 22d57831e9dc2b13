"""What an earlier daemon may have left of jobs: with any of it, the parts that run jobs are made at once."""

from __future__ import annotations

import os
from collections.abc import Collection

from gomd.config import Config


def has_leftovers(config: Config) -> bool:
    """
    Whether there are jobs, numbers of jobs, migrations, or anything else where they are kept. Blocks briefly.

    Also when that cannot be read: whoever needs it then says why.
    """
    spool, state = config.jobs.spool, config.node.state_dir
    moving = os.path.join(spool, "moving")
    try:
        return bool(
            _names(spool, ("log", "moving"))  # the log of the fork server stays
            or [name for name in _names(moving) if not name.startswith(".")]
            or _names(os.path.join(moving, ".probes"))
            or _names(os.path.join(state, "jobs", "migrations"))
            or _size(os.path.join(state, "jobs", "journal"))
        )
    except OSError:
        return True


def _names(directory: str, but: Collection[str] = ()) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if name not in but]
    except FileNotFoundError:
        return []


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0
