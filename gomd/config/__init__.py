"""
The only reader of gomd.ini: makes one frozen `Config` of file and command line, or lists every mistake.

`find_file` finds the file and `load` reads it. A running daemon uses `Config.changes` to see what a new
configuration would change. Only `gomd.tap` uses a Config; the parts that it makes take plain arguments.
"""

from gomd.config.environment import SYSTEM_FILES, Environment, find_file
from gomd.config.loading import load
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

__all__ = [
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
