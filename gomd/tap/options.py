"""The options of `twistd gomd`, and how a start is refused."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from twisted.logger import LogLevel
from twisted.python import usage

from gomd.config import READING, SHORT_OPTIONS, Config, Environment, find_file, load, overrides_for
from gomd.services.installed_files import installed_files
from gomd.services.journald import PRIORITIES, goes_to_journal
from gomd.services.own_memory import (
    LOADED_BY_TWISTD,
    LOADED_IN_TURN,
    OF_THE_DEBUGGER,
    forget_modules,
    load_when_used,
)
from libgomd.errors import ConfigError, NotPossible
from libgomd.stdfds import open_closed_streams
from libgomd.version import VERSION

#: Exit statuses (sysexits.h) that tell systemd whether to restart. Started by hand, gomd exits with 1.
EX_CONFIG, EX_TEMPFAIL = 78, 75
#: The default name of twistd's pid file.
TWISTD_PID_FILE = "twistd.pid"


class Options(usage.Options):
    """The options of `twistd gomd`. Everything is checked before anything is started."""

    longdesc = "The general openMosix daemon: collects what /proc knows of this node, and answers requests."
    optFlags = [["check", None, "check the configuration, list every mistake in it, and exit"]]
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
        open_closed_streams()  # twistd has opened nothing yet: else a socket would be its standard output
        super().__init__()
        self.overrides: list[str] = []
        self.around = Environment.of_this_process()
        #: The pid file that was asked for; empty for none.
        self.pid_file = ""

    def opt_set(self, setting: str) -> None:
        """set one setting, section.key=value, instead of the value in the file; may be repeated"""
        self.overrides.append(setting)

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        print(f"gomd {VERSION}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the whole configuration. If it has mistakes, list all of them and exit."""
        self._take_pid_file()
        try:
            for name in SHORT_OPTIONS:
                if self[name] is not None:
                    self.overrides.extend(overrides_for(name, self[name]))
            self["configuration"] = self.load()
            if self["check"]:
                self._check_files()
        except ConfigError as error:
            refuse(error)
        if self["check"]:
            from gomd.tap.checking import warnings_of

            for warning in warnings_of(self["configuration"]):
                print(f"gomd: {warning}")
            print(
                f"gomd: the configuration is good ({self['configuration'].path or 'no file, all defaults'})"
            )
            from gomd.jobs.checkpoint.criu import Criu, find  # a daemon may never need it

            why_not = Criu(find(self["configuration"].jobs.criu)).check()
            print(f"gomd: processes {f'cannot be moved: {why_not}' if why_not else 'can be moved'}")
            sys.exit(0)
        # The daemon is imported next, and takes the place of what is needed no more.
        load_when_used()
        for names in (LOADED_BY_TWISTD, LOADED_IN_TURN, OF_THE_DEBUGGER, READING):
            forget_modules(names)

    def _check_files(self) -> None:
        """:raises ConfigError: with every mistake in the files that the configuration names."""
        from gomd.tap.checking import mistakes_in_files

        if mistakes := mistakes_in_files(self["configuration"]):
            raise ConfigError(mistakes)

    def _take_pid_file(self) -> None:
        """
        Keep twistd from checking its pid file, because a stale one would refuse the start.

        The lock of STATE keeps two daemons apart; `makeService` gives the name back when it has that lock. In
        the foreground, only a file that was asked for is written.
        """
        twistd = self.parent
        if twistd is None:
            return
        name, twistd["pidfile"] = twistd.get("pidfile") or "", ""
        foreground = twistd.get("nodaemon") or twistd.get("debug")
        if name and not (foreground and name == TWISTD_PID_FILE):
            self.pid_file = os.path.abspath(name)

    def load(self) -> Config:
        """Read the file and the command line. :raises ConfigError: with every mistake in them."""
        config = load(find_file(self["config"], self.around), self.overrides, self.around)
        check_built(config)
        return config

    def load_again(self) -> Config:
        """Read both while the daemon runs. Blocks. :raises ConfigError: as `load`, or gomd was replaced."""
        if "gomd.config.loading" not in sys.modules:
            try:
                installed_files().check()
            except NotPossible as error:
                raise ConfigError([str(error)]) from error
        return self.load()


def check_built(config: Config) -> None:
    """
    Check that this installation has everything that the configuration uses.

    :raises ConfigError: with a sentence for each missing package.
    """
    from gomd.tap.engine_needs import engine_mistakes
    from gomd.tap.http import ganglia_mistakes, http_mistakes

    mistakes: list[str] = []
    if config.http.endpoint is not None:
        mistakes.extend(http_mistakes(config.http.endpoint, config))
    mistakes.extend(ganglia_mistakes(config))
    mistakes.extend(engine_mistakes(config))
    if mistakes:
        raise ConfigError(mistakes)


def refuse(error: ConfigError, status: int = EX_CONFIG) -> NoReturn:
    """
    Print every mistake to stderr and exit: with ``status`` if systemd waits for the start, else with 1.

    :param status: EX_CONFIG for mistakes that somebody has to correct, EX_TEMPFAIL for what may pass by
        itself.
    """
    by_systemd = bool(os.environ.get("NOTIFY_SOCKET"))
    prefix = PRIORITIES[LogLevel.error] if goes_to_journal(sys.stderr, os.environ) else ""
    for mistake in error.mistakes:
        print(f"{prefix}gomd: {mistake}", file=sys.stderr)
    sys.exit(status if by_systemd else 1)
