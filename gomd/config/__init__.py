"""
The only reader of gomd.ini: makes one frozen `Config` of file and command line, or lists every mistake.

`find_file` finds the file and `load` reads it. A running daemon uses `Config.changes` to see what a new
configuration would change. Only `gomd.tap` uses a Config; the parts that it makes take plain arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gomd.config.environment import SYSTEM_FILES, Environment, find_file
from gomd.config.overrides import SHORT_OPTIONS, overrides_for
from gomd.config.settings import (
    Changes,
    CollectorSettings,
    Config,
    HistorySettings,
    HttpSettings,
    JobsSettings,
    ManholeSettings,
    NodeSettings,
    PeersSettings,
    TelnetSettings,
)

#: What only reading needs. A daemon forgets it once it has its configuration: half a megabyte.
READING: Final = (
    "configobj", "gomd.config.addresses", "gomd.config.assembly", "gomd.config.checks",
    "gomd.config.commands", "gomd.config.databases", "gomd.config.inifile", "gomd.config.loading",
    "gomd.config.mistakes", "gomd.config.old_names", "gomd.config.scalars",
)  # fmt: skip

__all__ = [
    "READING",
    "SHORT_OPTIONS",
    "SYSTEM_FILES",
    "Changes",
    "CollectorSettings",
    "Config",
    "Environment",
    "HistorySettings",
    "HttpSettings",
    "JobsSettings",
    "ManholeSettings",
    "NodeSettings",
    "PeersSettings",
    "TelnetSettings",
    "find_file",
    "load",
    "overrides_for",
]


def load(path: str | None, overrides: Sequence[str] = (), around: Environment | None = None) -> Config:
    """See `gomd.config.loading.load`, which is imported for it."""
    from gomd.config.loading import load as read

    return read(path, overrides, around)
