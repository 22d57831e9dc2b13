"""
Proves that two nodes see the same directory: the source node makes an empty file in it, with a random name.

If the target node sees a file of that name in the directory of that name, both see the same one, whatever the
file system is: nobody else could know the name. The file is made with the rights of the job's user, and
removed as soon as the target node has answered.

Each set of probes is noted on disk before the first one is made, and the note removed after the last one. So
the next daemon removes what one that was killed has left behind.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gomd.jobs.checkpoint.acting_as import acting_as

#: Maximum number of probes for one job.
MAX_PROBES: Final = 32
#: How a probe's name begins. One that is left behind, as that of a node that broke down, may be removed.
PREFIX: Final = ".gomd-probe-"
#: Number of hexadecimal digits of a name that are random, and that count the probes of one set.
_RANDOM: Final = 32
_COUNTING: Final = 2
#: Bytes of a note at most.
_MAX_NOTE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class DirectoryProbe:
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


class ProbeNotes:
    """
    Notes on disk about the probes that this node has made and not removed yet. Nothing here raises.

    :param directory: for the notes, root's alone; it is made when it is needed. Empty for none.
    """

    def __init__(self, directory: str = "") -> None:
        self._directory = directory
        self._own: set[str] = set()

    def write(self, token: str, rights: Rights, places: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Note probes that are to be made: the names, and in which directories each may be. Blocks."""
        self._own.add(token)
        if not self._directory:
            return
        note = {"uid": rights.uid, "gid": rights.gid, "groups": rights.groups, "places": places}
        with suppress(OSError):
            os.makedirs(self._directory, 0o700, exist_ok=True)
            with open(os.path.join(self._directory, token), "w", encoding="utf-8") as file:
                json.dump(note, file)

    def remove(self, token: str) -> None:
        """Remove a note. Blocks."""
        self._own.discard(token)
        if self._directory:
            with suppress(OSError):
                os.unlink(os.path.join(self._directory, token))

    def sweep(self) -> None:
        """Remove the probes that earlier daemons have left, and the notes about them. Blocks."""
        for token in self._earlier():
            with suppress(OSError, ValueError, KeyError, TypeError):
                with open(os.path.join(self._directory, token), encoding="utf-8") as file:
                    note = json.loads(file.read(_MAX_NOTE_BYTES))
                rights = Rights(int(note["uid"]), int(note["gid"]), tuple(map(int, note["groups"])))
                left = [DirectoryProbe(place, name, 0) for name, places in note["places"] for place in places]
                _unlink([probe for probe in left if _is_name(probe.name)], "/", rights)
            self.remove(token)

    def _earlier(self) -> list[str]:
        with suppress(OSError):
            return [name for name in os.listdir(self._directory or "/nowhere") if name not in self._own]
        return []


def make_probes(
    proofs: Iterable[Sequence[tuple[str, int]]], root: str, rights: Rights, notes: ProbeNotes | None = None
) -> list[DirectoryProbe]:
    """
    Make a probe for each proof, in the first of its directories in which the user may make a file. Blocks.

    :param proofs: the paths of directories, and the device that they have to be on.
    :param root: the root directory as the job sees it, such as ``/proc/300/root``.
    :param notes: where the probes are noted until `remove_probes` has removed them.
    """
    wanted = list(dict.fromkeys(map(tuple, proofs)))[:MAX_PROBES]
    if not wanted:
        return []
    notes = notes or ProbeNotes()
    made: list[DirectoryProbe] = []
    try:
        beginning = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return made
    token = secrets.token_hex(_RANDOM // 2)
    names = [f"{PREFIX}{token}{number:0{_COUNTING}x}" for number in range(len(wanted))]
    notes.write(
        token,
        rights,
        [(name, [place for place, _ in places]) for name, places in zip(names, wanted, strict=True)],
    )
    try:
        with acting_as(rights.uid, rights.gid, rights.groups):
            for name, places in zip(names, wanted, strict=True):
                made += _make_first(beginning, name, places)
    except PermissionError:
        pass  # this process is not root's: there is no proof
    finally:
        os.close(beginning)
        if not made:
            notes.remove(token)
    return made


def _make_first(beginning: int, name: str, places: Iterable[tuple[str, int]]) -> list[DirectoryProbe]:
    for directory, device in places:
        with suppress(OSError):
            if made := _make(beginning, name, directory, device):
                return made
    return []


def _make(beginning: int, name: str, directory: str, device: int) -> list[DirectoryProbe]:
    place = os.open(directory.lstrip("/") or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=beginning)
    try:
        if os.fstat(place).st_dev != device:
            return []
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o600, dir_fd=place))
        return [DirectoryProbe(directory, name, device)]
    finally:
        os.close(place)


def remove_probes(
    probes: Sequence[DirectoryProbe], root: str, rights: Rights, notes: ProbeNotes | None = None
) -> None:
    """Remove ``probes``, as they were made. What is gone already is none. Blocks."""
    with suppress(OSError):
        _unlink(probes, root, rights)
    for token in {probe.name[len(PREFIX) :][:_RANDOM] for probe in probes}:
        (notes or ProbeNotes()).remove(token)


def _unlink(probes: Iterable[DirectoryProbe], root: str, rights: Rights) -> None:
    beginning = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with acting_as(rights.uid, rights.gid, rights.groups):
            for probe in probes:
                with suppress(OSError):
                    os.unlink(f"{probe.directory}/{probe.name}".lstrip("/"), dir_fd=beginning)
    finally:
        os.close(beginning)


def _is_name(name: str) -> bool:
    return name.startswith(PREFIX) and "/" not in name


def find_probes(probes: Sequence[DirectoryProbe], rights: Rights | None) -> list[DirectoryProbe]:
    """
    Return those of ``probes`` that are seen on this node too, with their devices here. Blocks.

    :param rights: of the user here, tried where root may not look; None when there is no such user.
    """
    found = []
    for probe in probes[:MAX_PROBES]:
        if not _is_name(probe.name):
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
        found.append(DirectoryProbe(probe.directory, probe.name, known.st_dev))
    return found
