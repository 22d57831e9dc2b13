"""The checks of `gom doctor` that need no daemon."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

from gom.twistd import find_twistd, twistd_name
from libgomd.endpoints import ROOT_STATE, Endpoint, state_directory
from libgomd.installation import InstalledBy, installation
from libgomd.model import Finding, FindingState

GOOD, WARN, BAD = FindingState
#: Seconds that `twistd gomd --check` may take: it asks criu and a name server.
CHECK_TIMEOUT: Final = 40.0


def no_daemon(reason: str) -> Finding:
    """Return the finding that no daemon answers."""
    return Finding("daemon", BAD, f"no daemon answers: {reason}", _start())


def unproven(endpoint: Endpoint) -> Finding:
    """Return the finding that the only daemon that answers may be any program."""
    return Finding(
        "daemon", WARN,
        f"no daemon of root's or yours answers at its unix socket; what answers at {endpoint} may be any "
        "program, so its advice is left out",
        f"{_start()}; or name the daemon that you trust: gom -c {endpoint} doctor",
    )  # fmt: skip


def _start() -> str:
    found = installation()
    if importlib.util.find_spec("gomd") is None:
        return f"{found.whole}; or name the daemon of another machine: gom -c tcp:HOST:2901"
    if found.kind is InstalledBy.PACKAGE or found.is_service:
        return "systemctl start gomd; journalctl -u gomd says why it ended"
    by_hand = f"{find_twistd() or twistd_name()} -n gomd"
    return f"{by_hand}; or, as a service: {found.service('enable --now')}"


def extras() -> Iterator[Finding]:
    """Yield which optional libraries are there: for the live screens, and for the engines swim and serf."""
    yield _screens()
    has_swim = importlib.util.find_spec("kinship") is not None
    yield Finding(
        "engines", GOOD,
        "kinship is there: [peers] engine may be swim" if has_swim
        else "kinship is missing, which only [peers] engine = swim needs; Debian has no package of it",
    )  # fmt: skip
    packages = {"serf": shutil.which("serf"), "python3-msgpack": importlib.util.find_spec("msgpack")}
    missing = " and ".join(name for name, found in packages.items() if found is None)
    yield Finding(
        "engines", GOOD,
        f"{missing} missing, which only [peers] engine = serf needs" if missing
        else "serf and msgpack are there: [peers] engine may be serf",
    )  # fmt: skip


def _screens() -> Finding:
    if importlib.util.find_spec("textual") is not None:
        return Finding("screens", GOOD, "textual is there: gom top and gom mon are live")
    return Finding(
        "screens", WARN, "textual is missing: gom top and gom mon work with --once only",
        installation().libraries("monitor"),
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
    twistd = find_twistd()
    if twistd is None or importlib.util.find_spec("gomd") is None:
        missing = "twistd" if twistd is None else "the daemon"
        yield Finding(
            "installation", BAD, f"{missing} is not installed, so gomd cannot be started",
            installation().whole,
        )  # fmt: skip
        return
    again = f"{os.path.basename(twistd)} gomd --check"
    command = [twistd, "--pidfile=", "gomd", "--check", *(["--config", config] if config else [])]
    try:
        done = subprocess.run(  # noqa: S603 - a program of this installation, no shell
            command, capture_output=True, text=True, errors="replace", timeout=limit, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("configuration", BAD, f"`{again}` does not work: {error}", again)
        return
    lines = [line.removeprefix("gomd: ") for line in (done.stdout + done.stderr).splitlines()]
    if done.returncode:
        for line in lines:
            if line.strip():
                yield Finding("configuration", BAD, line, f"correct that, then: {again}")
        return
    for line in lines:
        if line.startswith("the configuration is good"):
            yield Finding("configuration", GOOD, line)
        elif line.startswith("processes can be moved"):
            yield Finding("criu", GOOD, line)
        elif line.startswith("processes cannot be moved"):
            yield Finding(
                "criu",
                WARN,
                line,
                f"as root: apt install criu, or for a newer one: {installation().newer_criu}",
            )
        else:
            yield Finding("configuration", WARN, line, f"correct that, then: {again}")
