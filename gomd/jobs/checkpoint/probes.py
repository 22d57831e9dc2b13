"""
Proves that two nodes see the same directory: the source node makes an empty file in it, with a random name.

If the target node sees a file of that name in the directory of that name, both see the same one, whatever the
file system is: nobody else could know the name. The file is made with the rights of the job's user, and
removed as soon as the target node has answered.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gomd.jobs.checkpoint.acting_as import acting_as

#: Maximum number of probes for one job.
MAX_PROBES: Final = 32
#: How a probe's name begins. One that a killed daemon has left behind may be removed.
PREFIX: Final = ".gomd-probe-"


@dataclass(frozen=True, slots=True)
class Probe:
    """
    A file that was made as a proof.

    :ivar directory: in which it is, as the job names it. :ivar name: of the file.
    :ivar device: st_dev of the file, at the node that describes it.
    """

    directory: str
    name: str
    device: int


@dataclass(frozen=True, slots=True)
class Rights:
    """With whose rights a probe is made: the ids of the job's user."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def make_probes(proofs: Iterable[Sequence[tuple[str, int]]], root: str, rights: Rights) -> list[Probe]:
    """
    Make a probe for each proof, in the first of its directories in which the user may make a file. Blocks.

    :param proofs: the paths of directories, and the device that they have to be on.
    :param root: the root directory as the job sees it, such as ``/proc/300/root``.
    """
    made: list[Probe] = []
    try:
        beginning = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return made
    try:
        with acting_as(rights.uid, rights.gid, rights.groups):
            for places in list(dict.fromkeys(map(tuple, proofs)))[:MAX_PROBES]:
                made += _make_first(beginning, places)
    except PermissionError:
        pass  # this process is not root's: there is no proof
    finally:
        os.close(beginning)
    return made


def _make_first(beginning: int, places: Iterable[tuple[str, int]]) -> list[Probe]:
    for directory, device in places:
        with suppress(OSError):
            if made := _make(beginning, directory, device):
                return made
    return []


def _make(beginning: int, directory: str, device: int) -> list[Probe]:
    place = os.open(directory.lstrip("/") or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=beginning)
    try:
        if os.fstat(place).st_dev != device:
            return []
        name = PREFIX + secrets.token_hex(16)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o600, dir_fd=place))
        return [Probe(directory, name, device)]
    finally:
        os.close(place)


def remove_probes(probes: Iterable[Probe], root: str, rights: Rights) -> None:
    """Remove ``probes``, as they were made. What is gone already is none. Blocks."""
    with suppress(OSError):
        beginning = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with acting_as(rights.uid, rights.gid, rights.groups):
                for probe in probes:
                    with suppress(OSError):
                        os.unlink(f"{probe.directory}/{probe.name}".lstrip("/"), dir_fd=beginning)
        finally:
            os.close(beginning)


def find_probes(probes: Sequence[Probe], rights: Rights | None) -> list[Probe]:
    """
    Return those of ``probes`` that are seen on this node too, with their devices here. Blocks.

    :param rights: of the user here, tried where root may not look; None when there is no such user.
    """
    found = []
    for probe in probes[:MAX_PROBES]:
        if not probe.name.startswith(PREFIX) or "/" in probe.name:
            continue
        path = f"{probe.directory}/{probe.name}"
        try:
            known = os.lstat(path)
        except PermissionError:  # a file server that gives root no rights
            if rights is None:
                continue
            try:
                with acting_as(rights.uid, rights.gid, rights.groups):
                    known = os.lstat(path)
            except OSError:
                continue
        except OSError:
            continue
        found.append(Probe(probe.directory, probe.name, known.st_dev))
    return found
