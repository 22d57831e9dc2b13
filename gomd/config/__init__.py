"""
The only reader of gomd.ini: file and command line in, one frozen `Config` or every mistake out.

The file is looked for by `find_file`, read by `load`; a running daemon asks `Config.changes` what a
new one would change. Only `gomd.tap` takes a Config; the parts it makes take plain arguments.
"""

from gomd.config.environment import SYSTEM_FILES, Environment, find_file
from gomd.config.loading import load
from gomd.config.overrides import SHORT_OPTIONS, overrides_for
from gomd.config.settings import (
    Changes,
    CollectorSettings,
    Config,
    HttpSettings,
    JobsSettings,
    LogSettings,
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
    "HttpSettings",
    "JobsSettings",
    "LogSettings",
    "ManholeSettings",
    "NodeSettings",
    "PeersSettings",
    "TelnetSettings",
    "find_file",
    "load",
    "overrides_for",
]
