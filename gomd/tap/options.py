"""The options of `twistd gomd`, and how a start is refused."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import NoReturn

from twisted.logger import LogLevel
from twisted.python import usage

from gomd.config import SHORT_OPTIONS, Config, Environment, find_file, load, overrides_for
from gomd.jobs.checkpoint.criu import Criu, find
from gomd.services.journald import PRIORITIES, goes_to_journal
from gomd.tap.checking import mistakes_in_files, warnings_of
from gomd.tap.choices import http_mistakes
from libgomd.errors import ConfigError
from libgomd.version import VERSION

#: Exit statuses (sysexits.h) that tell systemd whether to try again. Started by hand, gomd exits with 1.
EX_CONFIG, EX_TEMPFAIL = 78, 75
#: What twistd calls its pid file when it is told nothing.
TWISTD_PID_FILE = "twistd.pid"


class Options(usage.Options):
    """The options of `twistd gomd`; everything is checked before anything is started."""

    longdesc = "The general openMosix daemon: gathers what /proc knows and answers for it."
    optFlags = [["check", None, "check the configuration, say what is wrong with it, and exit"]]
    optParameters = [
        [
            "config",
            "c",
            None,
            "the configuration file (default: ./gomd.ini, /etc/gomd/gomd.ini, /etc/gomd.conf)",
        ],
        *([name, None, None, text] for name, text in SHORT_OPTIONS.items()),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.overrides: list[str] = []
        self.around = Environment.of_this_process()
        #: The pid file that twistd was told to write; empty for none.
        self.pid_file = ""

    def opt_set(self, setting: str) -> None:
        """Set one setting, section.key=value, over the file; may be repeated."""
        self.overrides.append(setting)

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        print(f"gomd {VERSION}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the whole configuration; every mistake is listed and refuses the start."""
        self._take_pid_file()
        try:
            for name in SHORT_OPTIONS:
                if self[name] is not None:
                    self.overrides.extend(overrides_for(name, self[name]))
            self["configuration"] = self.load()
            if self["check"] and (mistakes := mistakes_in_files(self["configuration"])):
                raise ConfigError(mistakes)
        except ConfigError as error:
            refuse(error)
        if self["check"]:
            for warning in warnings_of(self["configuration"]):
                print(f"gomd: {warning}")
            print(
                f"gomd: the configuration is good ({self['configuration'].path or 'no file, all defaults'})"
            )
            why_not = Criu(find(self["configuration"].jobs.criu)).check()
            print(f"gomd: processes {f'cannot be moved: {why_not}' if why_not else 'can be moved'}")
            sys.exit(0)

    def _take_pid_file(self) -> None:
        """
        Keep twistd from looking at its pid file, which would refuse a start whenever it is stale.

        The lock of STATE is what keeps two daemons apart; `makeService` gives the name back once it has that.
        In the foreground only a file that was asked for is written.
        """
        twistd = self.parent
        if twistd is None:
            return
        name, twistd["pidfile"] = twistd.get("pidfile") or "", ""
        foreground = twistd.get("nodaemon") or twistd.get("debug")
        if name and not (foreground and name == TWISTD_PID_FILE):
            self.pid_file = os.path.abspath(name)

    def load(self) -> Config:
        """Read file and command line, now as at the start. :raises ConfigError: with every mistake."""
        config = load(find_file(self["config"], self.around), self.overrides, self.around)
        check_built(config)
        return config


def check_built(config: Config) -> None:
    """
    Check that nothing is asked for that this version, or this installation, does not have.

    :raises ConfigError: with a sentence for each such thing.
    """
    mistakes: list[str] = []
    if config.http.endpoint is not None:
        mistakes.extend(http_mistakes(config.http.endpoint, config))
    if config.peers.engine == "swim" and find_spec("kinship") is None:
        mistakes.append("[peers] engine: swim needs the package kinship: pip install gomd[swim]")
    if mistakes:
        raise ConfigError(mistakes)


def refuse(error: ConfigError, status: int = EX_CONFIG) -> NoReturn:
    """
    Say every mistake on stderr and exit: with ``status`` when systemd waits for the start, else with 1.

    :param status: EX_CONFIG for what stays wrong until somebody changes it, EX_TEMPFAIL for what may pass.
    """
    by_systemd = bool(os.environ.get("NOTIFY_SOCKET"))
    prefix = PRIORITIES[LogLevel.error] if goes_to_journal(sys.stderr, os.environ) else ""
    for mistake in error.mistakes:
        print(f"{prefix}gomd: {mistake}", file=sys.stderr)
    sys.exit(status if by_systemd else 1)
