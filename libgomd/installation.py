"""
How gomd was installed here, and so the commands that add to it, start it, or get a newer criu.

What a message tells somebody to do has to work where it is read: Debian's packages have no Makefile, and what
pip has installed gets nothing from apt. It is decided by where this file lies; nothing is run.
"""

from __future__ import annotations

import enum
import os
import shlex
import sys
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

#: Where Debian's packages have their Python modules, and nobody else has.
_PACKAGED: Final = "/usr/lib/python3/dist-packages"
#: Directories of systemd's units, and the directory that is there while systemd is the init of this machine.
_UNITS: Final = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_SYSTEMD: Final = "/run/systemd/system"
#: Debian's packages with the libraries of each extra of setup.cfg; empty where Debian has none.
DEBIAN: Final[Mapping[str, str]] = {
    "gpu": "",
    "join": "python3-spake2",
    "manhole": "python3-bcrypt python3-appdirs",
    "monitor": "python3-textual",
    "mount": "python3-fusepy",
    "postgresql": "python3-psycopg",
    "report": "python3-pygal",
    "serf": "python3-msgpack",
    "swim": "",
}


class InstalledBy(enum.Enum):
    """How gomd was installed."""

    PACKAGE = "by Debian's packages"
    CHECKOUT = "from a checkout, which it runs in"
    PIP = "by pip"


class Installation(NamedTuple):
    """
    An installation of gomd.

    :ivar prefix: of the Python that runs it: /usr, or a virtual environment. :ivar top: of the checkout, else
        empty. :ivar is_service: whether systemd has a unit of gomd here.
    """

    kind: InstalledBy
    prefix: str
    top: str = ""
    is_service: bool = False

    def libraries(self, extra: str) -> str:
        """Return the command that installs the libraries of an extra; a sentence where there is none."""
        if self.kind is InstalledBy.PACKAGE:
            return f"apt install {DEBIAN[extra]}" if DEBIAN[extra] else "Debian has no package of it"
        return self._pip(f"[{extra}]")

    @property
    def whole(self) -> str:
        """The command that installs the daemon, where only the library and `gom` are."""
        return "apt install gomd" if self.kind is InstalledBy.PACKAGE else self._pip("")

    def _pip(self, extra: str) -> str:
        pip = shlex.quote(os.path.join(self.prefix, "bin", "pip"))
        if self.kind is InstalledBy.PIP:
            return f"{pip} install {shlex.quote('gomd' + extra)}"
        # The plugin of an editable installation is only found with this mode.
        return f"{pip} install -e {shlex.quote(self.top + extra)} --config-settings editable_mode=compat"

    @property
    def newer_criu(self) -> str:
        """The command, for root, that gets the newest criu that works on this kernel, on Debian."""
        if self.kind is InstalledBy.CHECKOUT:
            return f"make -C {shlex.quote(self.top)} criu"
        return f"sh {shlex.quote(self._shared('get-criu'))}"

    @property
    def install_unit(self) -> str:
        """The command, for root, that gives systemd the unit of gomd."""
        if self.kind is InstalledBy.PACKAGE:
            return "apt install --reinstall gomd"
        if self.kind is InstalledBy.CHECKOUT:
            return f"make -C {shlex.quote(self.top)} install-unit && systemctl daemon-reload"
        python, programs = (os.path.join(self.prefix, "bin", each) for each in ("python", ""))
        words = [python, self._shared("install-unit"), programs.rstrip("/")]
        unit = shlex.quote(self._shared("gomd.service"))
        return f"{shlex.join(words)} <{unit} >/etc/systemd/system/gomd.service && systemctl daemon-reload"

    def service(self, verb: str) -> str:
        """Return the command by which systemd starts or restarts the daemon, with its unit before that."""
        if self.is_service:
            return f"systemctl {verb} gomd"
        return f"{self.install_unit} && systemctl {verb} gomd"

    @property
    def restart(self) -> str:
        """How a daemon that runs is restarted."""
        return "systemctl restart gomd" if self.is_service else "restart gomd"

    def page(self, name: str) -> str:
        """Return where a page of the documentation is: ``hanging.md``."""
        return f"/usr/share/doc/gomd/docs/{name}" if self.kind is InstalledBy.PACKAGE else f"docs/{name}"

    def _shared(self, name: str) -> str:
        return os.path.join(self.prefix, "share", "gomd", name)


@cache
def installation() -> Installation:
    """Return the installation that this program is of. Blocks briefly, once."""
    return look(os.path.dirname(os.path.abspath(__file__)), sys.prefix)


def look(package: str, prefix: str, units: tuple[str, ...] = _UNITS, systemd: str = _SYSTEMD) -> Installation:
    """
    Return the installation with the directory ``package`` of this package. Blocks briefly.

    :param units: directories that may have gomd.service. :param systemd: is there where systemd is the init.
    """
    is_service = os.path.isdir(systemd) and any(os.path.lexists(f"{each}/gomd.service") for each in units)
    top = os.path.dirname(package)
    if top == _PACKAGED:
        return Installation(InstalledBy.PACKAGE, prefix, "", is_service)
    if all(os.path.exists(os.path.join(top, each)) for each in ("Makefile", "setup.cfg", "contrib/get-criu")):
        return Installation(InstalledBy.CHECKOUT, prefix, top, is_service)
    return Installation(InstalledBy.PIP, prefix, "", is_service)
