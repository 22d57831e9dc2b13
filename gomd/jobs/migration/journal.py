"""
The journal of migrations: which state each side of each migration reached last.

Each side of a migration has one small file. Its space on the disk is taken when the migration begins, so
that a full disk can refuse a migration at its start but never stop one in the middle. A record is one line,
``RS DIGEST JSON LF``; earlier versions wrote ``JSON LF``. A last line that a crash has torn is ignored:
nothing that depends on a record is done before the record is on the disk. A line that was changed later is
not ignored: the state is unknown then, and if the record before it was believed, the process could run
twice. Such a file is moved aside, and nothing is answered about that migration.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any, ClassVar, Final, NamedTuple

from twisted.logger import Logger

from gomd.jobs.migration.protocol import SourceState, State, TargetState
from libgomd.errors import GomdError
from libgomd.private import make_private_directory, open_private

#: Size of a file in bytes; a migration writes at most six records.
FILE_BYTES: Final = 8192
#: Number of characters of a reason that are kept, so that no record is longer than its share of the file.
MAX_REASON_LENGTH: Final = 300
_MAX_RECORD_BYTES: Final = FILE_BYTES // 8
_ID: Final = re.compile(r"[0-9a-z-]{1,60}")
_FILE: Final = re.compile(r"([0-9a-z-]{1,60})\.(source|target)")
_RS: Final = b"\x1e"
_DIGITS: Final = 16  # of the digest, in hexadecimal
#: Maximum number of zero bytes in a line that was changed. A torn line has more: a part was not written.
_MAX_ZEROS_IN_CHANGED_LINE: Final = 8
_SIDES: Final[Mapping[str, Mapping[str, State]]] = {
    "source": {state.word: state for state in SourceState},
    "target": {state.word: state for state in TargetState},
}


class MalformedRecord(GomdError):
    """These bytes are not a record: a crash has torn it, or it was changed, or another version wrote it."""


@dataclass(frozen=True, slots=True)
class Record:
    """
    The state of one side of a migration.

    :ivar migration: its id, unique in the cluster. :ivar job: the job's name, ``HOME-JOB``.
    :ivar other: the node id of the other side. :ivar at: seconds since the epoch.
    :ivar reason: why it came to this state, empty when all goes well.
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
    values = {**asdict(record), "state": record.state.word, "reason": record.reason[:MAX_REASON_LENGTH]}
    line = _seal(json.dumps({"side": record.side, **values}, separators=(",", ":")).encode("ascii"))
    if len(line) > _MAX_RECORD_BYTES:  # the reason is in a script for which JSON needs many bytes
        line = encode(replace(record, reason=record.reason[: MAX_REASON_LENGTH // 8]))
    return line


def decode(line: bytes) -> Record:
    """
    Return the record in ``line``.

    :raises MalformedRecord: for any other bytes, and nothing else.
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
            raise ValueError("a field has another type")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedRecord(f"not a record of a migration: {line[:60]!r}") from error
    return record


def _seal(text: bytes) -> bytes:
    return _RS + _digest(text) + b" " + text + b"\n"


def _unseal(line: bytes) -> bytes:
    """Return the JSON in a line that has no RS and no end. :raises MalformedRecord: it was changed."""
    if line[_DIGITS : _DIGITS + 1] != b" " or line[:_DIGITS] != _digest(line[_DIGITS + 1 :]):
        raise MalformedRecord(f"not a record of a migration: {line[:60]!r}")
    return line[_DIGITS + 1 :]


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=_DIGITS // 2).hexdigest().encode("ascii")


class Parsed(NamedTuple):
    """
    The content of a file.

    :ivar record: the last whole record, None when there is none. :ivar end: offset of the next one in bytes.
    :ivar damaged: number of a later line that was changed after it was written; 0 when there is none.
    """

    record: Record | None
    end: int
    damaged: int


def parse(data: bytes) -> Parsed:
    """Return the content of a file. Never raises."""
    record: Record | None = None
    at, end, damaged = 0, 0, 0
    for number, line in enumerate(_lines(data), 1):
        found = _record(line)
        if found is not None:
            record, end, damaged = found, at + len(line), 0
        elif line.endswith(b"\n") and line.count(b"\0") <= _MAX_ZEROS_IN_CHANGED_LINE:
            damaged = number
        at += len(line)
    return Parsed(record, end, damaged)


def _lines(data: bytes) -> list[bytes]:
    """Return the lines with their ends, without the zeros after the last one. An RS begins a line too."""
    found = []
    for line in re.findall(rb"[^\n]*\n|[^\n]+", data.rstrip(b"\0")):
        while (at := line.find(_RS, 1)) > 0:
            found.append(line[:at])
            line = line[at:]
        found.append(line)
    return found


def _record(line: bytes) -> Record | None:
    """Return the record in a line whose RS or end may be damaged, None when there is none."""
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
    The journal in ``directory``. Every method blocks until the disk has it, and raises OSError if that fails.

    Never make two calls for one migration at the same time.

    :ivar damaged: id and side of each migration whose state `load` could not tell.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._ends: dict[str, int] = {}
        self.damaged: set[tuple[str, str]] = set()

    def load(self) -> list[Record]:
        """
        Return the last record of each side of each migration; files without any are removed.

        A damaged file is logged and moved to ``DIRECTORY.bad``; the others are read nevertheless.
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
                    "the record of migration {name} cannot be used: {error}. This daemon answers nothing "
                    "about that migration: see where its process runs, and end its stopped copies elsewhere",
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
        """Return the last record in a file; remove a file without any. :raises MalformedRecord: it is bad."""
        path = os.path.join(self._directory, name)
        with open(open_private(path), "rb") as file:
            found = parse(file.read(FILE_BYTES))
        if found.damaged:
            raise MalformedRecord(f"line {found.damaged} is damaged")
        if found.record is None:
            os.unlink(path)
            return None
        if self._name(found.record) != name:
            raise MalformedRecord(f"its content belongs in {self._name(found.record)}")
        self._ends[name] = found.end
        return found.record

    def _put_aside(self, name: str) -> None:
        try:
            os.makedirs(f"{self._directory}.bad", 0o700, exist_ok=True)
            os.rename(os.path.join(self._directory, name), os.path.join(f"{self._directory}.bad", name))
        except OSError as error:
            self._log.error("{name} cannot be moved aside: {error}", name=name, error=error)

    def write(self, record: Record) -> None:
        """Write a record. The first one of a migration takes the space for all of them."""
        name, line = self._name(record), encode(record)
        first = name not in self._ends
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if first else 0)
        path = os.path.join(self._directory, name)
        number = os.open(path, flags, 0o600)
        try:
            end = self._ends.get(name, 0)
            if first:
                _take_space(number)
            # Zeros after it overwrite a line that a crash has torn.
            data = line + bytes(max(0, min(_MAX_RECORD_BYTES, FILE_BYTES - end - len(line))))
            if os.pwrite(number, data, end) != len(data):
                raise OSError("only a part of a record was written")
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
            raise MalformedRecord(f"{record.migration[:60]!r} is not an id of a migration")
        return f"{record.migration}.{record.side}"

    def _sync_directory(self) -> None:
        number = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _take_space(number: int) -> None:
    """Write zeros. Overwriting them later needs no more space on any file system, unlike a reservation."""
    if os.pwrite(number, bytes(FILE_BYTES), 0) != FILE_BYTES:
        raise OSError("there is no space for the records of a migration")
