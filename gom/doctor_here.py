"""The checks of `gom doctor` that need no daemon."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from libgomd.endpoints import ROOT_STATE, state_directory
from libgomd.model import Finding, FindingState

GOOD, WARN, BAD = FindingState
#: Seconds that `twistd gomd --check` may take: it asks criu and a name server.
CHECK_TIMEOUT: Final = 40.0
_START: Final = "systemctl start gomd (or: twistd -n gomd); journalctl -u gomd says why it ended"


def no_daemon(reason: str) -> Finding:
    """Return the finding that no daemon answers."""
    return Finding("daemon", BAD, f"no daemon answers: {reason}", _START)


def screens() -> Finding:
    """Return the finding about the live screens: whether they can be shown."""
    if importlib.util.find_spec("textual") is not None:
        return Finding("screens", GOOD, "textual is there: gom top and gom mon are live")
    return Finding(
        "screens", WARN, "textual is missing: gom top and gom mon work with --once only",
        "pip install 'gomd[monitor]', or apt install python3-textual",
    )  # fmt: skip


def state_of(path: str) -> Iterator[Finding]:
    """Yield the finding about STATE of the caller's own daemon: whether it is private, if one can see it."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Finding("state", BAD, f"STATE {path} cannot be looked at: {error.strerror}", f"ls -ld {path}")
        return
    if found.st_mode & 0o077:
        mode = f"{found.st_mode & 0o777:04o}"
        yield Finding(
            "state", BAD, f"others may look into STATE {path}: its mode is {mode}", f"chmod 700 {path}"
        )
    elif found.st_uid not in (os.geteuid(), 0):
        yield Finding("state", BAD, f"STATE {path} belongs to user {found.st_uid}", f"ls -ld {path}")


def own_state() -> str:
    """Return STATE of the caller's own daemon."""
    return state_directory(os.environ, os.getuid()) if os.getuid() else ROOT_STATE


def configuration(config: str, limit: float = CHECK_TIMEOUT) -> Iterator[Finding]:
    """
    Yield what `twistd gomd --check` says: every mistake of gomd.ini and of the files that it names. Blocks.

    :param config: the file, empty for the one that the daemon would find.
    """
    twistd = os.path.join(os.path.dirname(sys.executable), "twistd")
    if not os.access(twistd, os.X_OK):
        found = shutil.which("twistd")
        if found is None:
            yield Finding(
                "installation", BAD, "twistd is not there, so gomd cannot be started",
                "apt install gomd, or pip install gomd",
            )  # fmt: skip
            return
        twistd = found
    command = [twistd, "--pidfile=", "gomd", "--check", *(["--config", config] if config else [])]
    try:
        done = subprocess.run(  # noqa: S603 - a program of this installation, no shell
            command, capture_output=True, text=True, errors="replace", timeout=limit, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding(
            "configuration", BAD, f"`twistd gomd --check` does not work: {error}", "twistd gomd --check"
        )
        return
    lines = [line.removeprefix("gomd: ") for line in (done.stdout + done.stderr).splitlines()]
    if done.returncode:
        for line in lines:
            if line.strip():
                yield Finding("configuration", BAD, line, "correct that, then: twistd gomd --check")
        return
    for line in lines:
        if line.startswith("the configuration is good"):
            yield Finding("configuration", GOOD, line)
        elif line.startswith("processes can be moved"):
            yield Finding("criu", GOOD, line)
        elif line.startswith("processes cannot be moved"):
            yield Finding("criu", WARN, line, "as root: apt install criu, or make criu")
        else:
            yield Finding("configuration", WARN, line, "correct that, then: twistd gomd --check")
