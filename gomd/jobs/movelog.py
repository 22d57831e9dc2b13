"""
The journal of migrations: where each stood last. A full disk refuses a migration at its start only.

One small file for each side of a migration, whose room is taken when it begins. A record is a line of
JSON behind the one before; a line that a crash has torn does not count, for what comes after a record is
done only when the record is on the disk.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from gomd.jobs.migration import SourceState, State, TargetState
from libgomd.errors import GomdError
from libgomd.private import make_private_directory, open_private

#: Bytes of a file: a migration writes at most six records.
ROOM: Final = 8192
#: Characters of a reason that are kept, so that no record is longer than its share.
MAX_REASON: Final = 300
_MAX_RECORD: Final = ROOM // 8
_ID: Final = re.compile(r"[0-9a-z-]{1,60}")
_SIDES: Final[Mapping[str, Mapping[str, State]]] = {
    "source": {state.word: state for state in SourceState},
    "target": {state.word: state for state in TargetState},
}


class MalformedRecord(GomdError):
    """These bytes are no record: torn by a crash, or of another version."""


@dataclass(frozen=True, slots=True)
class Record:
    """
    Where one side of a migration stands.

    :ivar migration: its id, unique in the cluster. :ivar job: ``HOME-JOB``.
    :ivar other: the node id of the other side.
    :ivar reason: why it came to this, empty when all goes well. :ivar at: seconds since the epoch.
    """

    migration: str
    state: State
    job: str
    other: int
    reason: str
    at: float

    @property
    def side(self) -> str:
        """``source`` or ``target``."""
        return "source" if isinstance(self.state, SourceState) else "target"


def encode(record: Record) -> bytes:
    """Return the line of ``record``."""
    values = {**asdict(record), "state": record.state.word, "reason": record.reason[:MAX_REASON]}
    line = json.dumps({"side": record.side, **values}, separators=(",", ":")).encode("ascii") + b"\n"
    if len(line) > _MAX_RECORD:  # a reason in a script that JSON writes at length
        line = encode(
            Record(**{**asdict(record), "state": record.state, "reason": record.reason[: MAX_REASON // 8]})
        )
    return line


def decode(line: bytes) -> Record:
    """
    Return the record in ``line``.

    :raises MalformedRecord: there is none, and nothing else.
    """
    try:
        values: dict[str, Any] = json.loads(line)
        state = _SIDES[values.pop("side")][values.pop("state")]
        record = Record(state=state, **values)
        if not (
            all(isinstance(text, str) for text in (record.migration, record.job, record.reason))
            and isinstance(record.other, int)
            and isinstance(record.at, (int, float))
            and _ID.fullmatch(record.migration)
        ):
            raise ValueError("a field of another type")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedRecord(f"no record of a migration: {line[:60]!r}") from error
    return record


def last(data: bytes) -> Record | None:
    """Return the last whole record of a file, None when there is none."""
    found = None
    for line in data.split(b"\n")[:-1]:
        try:
            found = decode(line)
        except MalformedRecord:
            break
    return found


class MoveLog:
    """
    The journal in ``directory``. Every method blocks until the disk has it; OSError when it has not.

    Two calls for one migration are never under way at once.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._ends: dict[str, int] = {}

    def load(self) -> list[Record]:
        """Return the last record of each side of each migration; files without any are removed."""
        make_private_directory(self._directory)
        records = []
        for name in sorted(os.listdir(self._directory)):
            path = os.path.join(self._directory, name)
            with open(open_private(path), "rb") as file:
                data = file.read(ROOM)
            record = last(data)
            if record is None or self._name(record) != name:
                os.unlink(path)
                continue
            records.append(record)
            self._ends[name] = _end(data)
        return records

    def write(self, record: Record) -> None:
        """Write a record; the first of a migration takes the room for all."""
        name, line = self._name(record), encode(record)
        first = name not in self._ends
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if first else 0)
        path = os.path.join(self._directory, name)
        number = os.open(path, flags, 0o600)
        try:
            end = self._ends.get(name, 0)
            if first:
                _take_room(number)
            written = os.pwrite(number, line, end)
            if written != len(line):
                raise OSError("a record was written in part")
            os.fsync(number)
            if first:
                self._sync_directory()
        except BaseException:
            if first:
                os.unlink(path)
            raise
        finally:
            os.close(number)
        self._ends[name] = end + len(line)

    def forget(self, record: Record) -> None:
        """Remove the records of a migration that both sides have settled."""
        name = self._name(record)
        self._ends.pop(name, None)
        os.unlink(os.path.join(self._directory, name))

    def _name(self, record: Record) -> str:
        if not _ID.fullmatch(record.migration):
            raise MalformedRecord(f"{record.migration[:60]!r} is no id of a migration")
        return f"{record.migration}.{record.side}"

    def _sync_directory(self) -> None:
        number = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _take_room(number: int) -> None:
    """Zeros rather than a reservation: writing over what is written needs no more room on any file system."""
    if os.pwrite(number, bytes(ROOM), 0) != ROOM:
        raise OSError("there is no room for the records of a migration")


def _end(data: bytes) -> int:
    """Where the next record goes: behind the last whole one."""
    end = 0
    for line in data.split(b"\n")[:-1]:
        try:
            decode(line)
        except MalformedRecord:
            break
        end += len(line) + 1
    return end
