"""
Caches what criu has found out about this kernel, so that criu does not probe it at each start.

criu keeps that itself in /run/criu.kdat, but only where /run is a tmpfs, which it is not in most
containers; when it runs as a user it keeps nothing. It reads the file from anywhere, though. So the daemon
lets criu write the files in a mount namespace of their own, where /run is a tmpfs, and supervisors show them
to criu. They hold for one boot of the kernel and one criu.

`prepare` is the daemon's part, the rest the supervisors'. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint.kernel_files import read_text

#: The directory of the files, beside the one below which images are.
_DIRECTORY: Final = ".kernel"
_NAME: Final = "criu.kdat"
_RUN: Final = f"/run/{_NAME}"
#: Has criu write both files: as root, and as it runs for users. $1 is criu, $2 the directory.
_SCRIPT: Final = """
umask 077
mount -t tmpfs -o mode=0700 tmpfs /run || exit 1
mkdir /run/user
"$1" check
cp /run/criu.kdat "$2/root/" || exit 1
XDG_RUNTIME_DIR=/run/user "$1" check --unprivileged
cp /run/user/criu.kdat "$2/user/"
"""
_APART: Final = ("unshare", "--mount", "--propagation", "private", "--")
_MS_BIND: Final = 4096
_libc: Final = ctypes.CDLL(None, use_errno=True)


def prepare(program: str, images: str, version: str, limit: float = 20.0) -> bool:
    """
    Let criu write the files, unless those that are there hold. Blocks. No error: criu runs without them, too.

    :param program: criu. :param images: the directory below which images are. :param version: of criu.
    :returns: whether they are there.
    """
    directory = os.path.join(os.path.dirname(images), _DIRECTORY)
    key = f"{_boot_id()} {program} {version}"
    if read_text(os.path.join(directory, "key")) == key:
        return True
    try:
        for name in ("root", "user"):
            os.makedirs(os.path.join(directory, name), 0o700, exist_ok=True)
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name, _NAME))
        script = ("sh", "-c", _SCRIPT, "sh", program, directory)
        subprocess.run(  # noqa: S603 - the words are ours, and the script gets names as arguments
            [*_APART, *script], stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False,
            cwd="/",
        )  # fmt: skip
        if not os.path.exists(os.path.join(directory, "root", _NAME)):
            return False
        with open(os.path.join(directory, "key"), "w", encoding="utf-8") as file:
            file.write(key)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def show(images: str) -> None:
    """
    Let criu, when it runs as root in this mount namespace, find the file. Blocks briefly. No error.

    :param images: the directory of a job's images.
    """
    directory = _directory(images)
    if directory is None:
        return
    with suppress(OSError):
        if os.path.exists(_RUN) and os.path.getsize(_RUN):
            return  # criu's own, or already shown
        os.close(os.open(_RUN, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        source = os.path.join(directory, "root", _NAME)
        _libc.mount(source.encode(), _RUN.encode(), None, ctypes.c_ulong(_MS_BIND), None)


def environment(images: str) -> Mapping[str, str]:
    """Return the environment in which criu finds the file when it runs for a user."""
    directory = _directory(images)
    return {} if directory is None else {"XDG_RUNTIME_DIR": os.path.join(directory, "user")}


def _directory(images: str) -> str | None:
    """Return the directory of files that hold for this boot; None when there is none."""
    directory = os.path.join(os.path.dirname(os.path.dirname(images)), _DIRECTORY)
    boot = _boot_id()
    return directory if boot and read_text(os.path.join(directory, "key")).startswith(f"{boot} ") else None


def _boot_id() -> str:
    return read_text("/proc/sys/kernel/random/boot_id").strip()
