"""
The journal of migrations: where each stood last. A full disk refuses a migration at its start only.

One small file for each side of a migration, whose room is taken when it begins. A record is a line of
JSON behind the one before, ``RS DIGEST JSON LF``; earlier versions wrote ``JSON LF``. A line that a crash
has torn does not count, for what comes after a record is done only when the record is on the disk. One that
was changed afterwards counts: where the migration stood is not known then, and the one before must not be
taken for it, or the process could run twice. Such a file is kept aside, and nothing is said about that
migration.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, ClassVar, Final, NamedTuple

from twisted.logger import Logger

from gomd.jobs.migration.protocol import SourceState, State, TargetState
from libgomd.errors import GomdError
from libgomd.private import make_private_directory, open_private

#: Bytes of a file: a migration writes at most six records.
ROOM: Final = 8192
#: Characters of a reason that are kept, so that no record is longer than its share.
MAX_REASON: Final = 300
_MAX_RECORD: Final = ROOM // 8
_ID: Final = re.compile(r"[0-9a-z-]{1,60}")
_FILE: Final = re.compile(r"([0-9a-z-]{1,60})\.(source|target)")
_RS: Final = b"\x1e"
_DIGITS: Final = 16
#: Zeros in a line that was changed; what was torn has more, where a part was not written.
_FEW: Final = 8
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
    line = _seal(json.dumps({"side": record.side, **values}, separators=(",", ":")).encode("ascii"))
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
    line = line.removeprefix(_RS)
    text = line if line[:1] == b"{" else _unseal(line.removesuffix(b"\n"))
    try:
        values: dict[str, Any] = json.loads(text)
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


def _seal(text: bytes) -> bytes:
    return _RS + _digest(text) + b" " + text + b"\n"


def _unseal(line: bytes) -> bytes:
    """Return the JSON of a line without its RS and its end. :raises MalformedRecord: it was changed."""
    if line[_DIGITS : _DIGITS + 1] != b" " or line[:_DIGITS] != _digest(line[_DIGITS + 1 :]):
        raise MalformedRecord(f"no record of a migration: {line[:60]!r}")
    return line[_DIGITS + 1 :]


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=_DIGITS // 2).hexdigest().encode("ascii")


class Parsed(NamedTuple):
    """
    What a file says.

    :ivar record: the last whole record, None when there is none. :ivar end: where the next one goes.
    :ivar damaged: number of the line behind it that was changed after it was written; 0 when there is none.
    """

    record: Record | None
    end: int
    damaged: int


def parse(data: bytes) -> Parsed:
    """Return what the bytes of a file say. Never raises."""
    record: Record | None = None
    at, end, damaged = 0, 0, 0
    for number, line in enumerate(_lines(data), 1):
        found = _record(line)
        if found is not None:
            record, end, damaged = found, at + len(line), 0
        elif line.endswith(b"\n") and line.count(b"\0") <= _FEW:
            damaged = number
        at += len(line)
    return Parsed(record, end, damaged)


def _lines(data: bytes) -> list[bytes]:
    """Return the lines with their ends, the zeros behind them left out; an RS begins one too."""
    found = []
    for line in re.findall(rb"[^\n]*\n|[^\n]+", data.rstrip(b"\0")):
        while (at := line.find(_RS, 1)) > 0:
            found.append(line[:at])
            line = line[at:]
        found.append(line)
    return found


def _record(line: bytes) -> Record | None:
    """Return the record in a line of which the RS or the end may be damaged, None when there is none."""
    for text in (line, line[1:], line[:-1]):
        try:
            return decode(text)
        except MalformedRecord:
            pass
    return None


def last(data: bytes) -> Record | None:
    """Return the last whole record of a file, None when there is none."""
    return parse(data).record


class MigrationJournal:
    """
    The journal in ``directory``. Every method blocks until the disk has it; OSError when it has not.

    Two calls for one migration are never under way at once.

    :ivar damaged: id and side of each migration of which `load` could not tell where it stood.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._ends: dict[str, int] = {}
        self.damaged: set[tuple[str, str]] = set()

    def load(self) -> list[Record]:
        """
        Return the last record of each side of each migration; files without any are removed.

        A damaged file is said, and kept in ``DIRECTORY.bad``: it keeps no other from being read.
        """
        make_private_directory(self._directory)
        self.damaged.clear()
        records = []
        for name in sorted(os.listdir(self._directory)):
            match = _FILE.fullmatch(name)
            try:
                record = self._load(name)
            except (OSError, MalformedRecord) as error:
                self._log.error(
                    "the record of a migration {name} cannot be used: {error}. Nothing is said about that "
                    "migration: see where its process is, and end what is stopped of it elsewhere",
                    name=name, error=error,
                )  # fmt: skip
                if match is not None:
                    self.damaged.add((match[1], match[2]))
                self._put_aside(name)
                continue
            if record is not None:
                records.append(record)
        return records

    def _load(self, name: str) -> Record | None:
        """Return the last record in a file; remove one without. :raises MalformedRecord: it is damaged."""
        path = os.path.join(self._directory, name)
        with open(open_private(path), "rb") as file:
            found = parse(file.read(ROOM))
        if found.damaged:
            raise MalformedRecord(f"its line {found.damaged} is damaged")
        if found.record is None:
            os.unlink(path)
            return None
        if self._name(found.record) != name:
            raise MalformedRecord(f"it is of {self._name(found.record)}")
        self._ends[name] = found.end
        return found.record

    def _put_aside(self, name: str) -> None:
        try:
            os.makedirs(f"{self._directory}.bad", 0o700, exist_ok=True)
            os.rename(os.path.join(self._directory, name), os.path.join(f"{self._directory}.bad", name))
        except OSError as error:
            self._log.error("{name} stays where it is: {error}", name=name, error=error)

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
            # With zeros behind it: what a crash had torn there goes.
            data = line + bytes(max(0, min(_MAX_RECORD, ROOM - end - len(line))))
            if os.pwrite(number, data, end) != len(data):
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
