"""The options of `twistd gomd`, and how a start is refused."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import NoReturn

from twisted.python import usage

from gomd.config import SHORT_OPTIONS, Config, Surroundings, find_file, load, overrides_for
from gomd.config.addresses import on_this_machine
from gomd.jobs.criu import Criu, find
from gomd.tap.checking import mistakes_in_files, warnings_of
from libgomd.errors import ConfigError
from libgomd.version import VERSION


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
        self.around = Surroundings.of_this_process()

    def opt_set(self, setting: str) -> None:
        """Set one setting, section.key=value, over the file; may be repeated."""
        self.overrides.append(setting)

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        print(f"gomd {VERSION}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the whole configuration; every mistake is listed and refuses the start."""
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
    mistakes = []
    http = config.http.endpoint
    if http is not None:
        if find_spec("prometheus_client") is None:
            mistakes.append("[http] endpoint: metrics need prometheus_client: pip install gomd[http]")
        if config.telnet.anonymous == "none" and not on_this_machine(http):
            mistakes.append(
                f"[http] endpoint: {http} tells the network what [telnet] anonymous = none keeps from it: "
                "use a loopback address or a unix socket"
            )
    if config.peers.engine == "swim" and find_spec("kinship") is None:
        mistakes.append("[peers] engine: swim needs the package kinship: pip install gomd[swim]")
    if mistakes:
        raise ConfigError(mistakes)


def refuse(error: ConfigError) -> NoReturn:
    """Say every mistake on stderr and exit with status 1."""
    for mistake in error.mistakes:
        print(f"gomd: {mistake}", file=sys.stderr)
    sys.exit(1)
