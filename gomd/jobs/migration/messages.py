"""
What daemons tell each other about migrations: messages as frames, without I/O (docs/migration-wire.md).

A message is one frame of JSON, followed by the bytes of the files that it names. Whatever the other node
sends gives messages or `MalformedFrame`; the files of a message have at most `MAX_FILES_BYTES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gomd.jobs.checkpoint.images import MAX_IMAGES
from gomd.jobs.migration.details import LOOK, SEEN, Details, decode_details, encode_details, one_line
from gomd.jobs.migration.numbers import is_number
from gomd.jobs.migration.protocol import MessageKind
from libgomd.model import MAX_NODE_ID
from libgomd.wire.frames import MAX_PAYLOAD, MESSAGE, PIECE, Frame, MalformedFrame, encode, encode_json
from libgomd.wire.job_name import JobName

#: Maximum size in bytes of all files of a message; criu's images without the memory have some 100 kB.
MAX_FILES_BYTES: Final = 64 << 20
#: The words of the state machine's messages.
WORDS: Final[Mapping[str, MessageKind]] = {kind.word: kind for kind in MessageKind}
_ID: Final = re.compile(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,9})-([1-9][0-9]{0,8})-[0-9a-f]{8}")
_FILE_NAME: Final = re.compile(r"[a-z][a-z0-9.-]{0,70}")


@dataclass(frozen=True, slots=True)
class MigrationMessage:
    """
    One message.

    :ivar migration: the id of the migration, see `MigrationId`.
    :ivar word: the word of a `MessageKind`, or `LOOK` or `SEEN`.
    :ivar origin: id of the node that sends it. :ivar reason: why, for a person.
    :ivar details: what else belongs to this word. :ivar files: name to bytes.
    """

    migration: str
    word: str
    origin: int
    reason: str = ""
    details: Details = None
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def kind(self) -> MessageKind | None:
        """Which message of the state machine it is; None for a question beside it."""
        return WORDS.get(self.word)


@dataclass(frozen=True, slots=True)
class MigrationId:
    """
    What the id of a migration says: ``HOME-JOB-TIMES-RANDOM``.

    :ivar times: how often the job will have moved when this migration is done. Of two nodes that both claim
        a job, the one with the larger number is right.
    """

    home: int
    job: int
    times: int

    @property
    def name(self) -> str:
        """The job's name, ``HOME-JOB``."""
        return str(JobName(self.home, self.job))

    @classmethod
    def parse(cls, text: str) -> MigrationId:
        """Return the id in ``text``. :raises MalformedFrame: it is no id of a migration."""
        found = _ID.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found[1]) > MAX_NODE_ID:
            raise MalformedFrame("invalid id of a migration")
        return cls(int(found[1]), int(found[2]), int(found[3]))


def encode_message(message: MigrationMessage) -> bytes:
    """Return the frames of ``message``."""
    head = {
        "migration": message.migration, "word": message.word, "from": message.origin,
        "reason": one_line(message.reason), "more": encode_details(message.details),
        "files": [[name, len(data)] for name, data in message.files.items()],
    }  # fmt: skip
    frames = [encode_json(MESSAGE, head)]
    for data in message.files.values():
        frames += [encode(PIECE, data[at : at + MAX_PAYLOAD]) for at in range(0, len(data), MAX_PAYLOAD)]
    return b"".join(frames)


class MessageReader:
    """Takes frames one by one and gives the messages in them. It cannot be used after an error."""

    def __init__(self) -> None:
        self._head: MigrationMessage | None = None
        self._missing: list[tuple[str, int]] = []
        self._files: dict[str, bytearray] = {}

    def feed(self, frame: Frame) -> Iterator[MigrationMessage]:
        """Take a frame, and yield the message that it completes. :raises MalformedFrame: it does not fit."""
        if self._head is None:
            if frame.kind != MESSAGE:
                raise MalformedFrame(f"a frame of kind {frame.kind} where a migration message begins")
            self._head, self._missing = _decode_head(frame.payload)
            self._files = {name: bytearray() for name, _size in self._missing}
        else:
            self._add_piece(frame)
        while self._missing and len(self._files[self._missing[0][0]]) == self._missing[0][1]:
            del self._missing[0]
        if not self._missing:
            head, self._head = self._head, None
            files = {name: bytes(data) for name, data in self._files.items()}
            self._files = {}
            yield replace(head, files=files)

    def _add_piece(self, frame: Frame) -> None:
        name, size = self._missing[0]
        if frame.kind != PIECE or not 0 < len(frame.payload) <= size - len(self._files[name]):
            raise MalformedFrame("a file in a migration message is not as long as announced")
        self._files[name] += frame.payload


def _decode_head(payload: bytes) -> tuple[MigrationMessage, list[tuple[str, int]]]:
    """Return the message in a first frame, without its files, and the names and sizes of these."""
    try:
        values: dict[str, Any] = json.loads(payload)
        migration, word, origin = values["migration"], values["word"], values["from"]
        reason, more = values.get("reason", ""), values.get("more", {})
        files = [(name, size) for name, size in values.get("files", ())]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedFrame(f"invalid migration message: {str(error)[:80]}") from error
    MigrationId.parse(migration)
    if not isinstance(word, str) or word not in (*WORDS, LOOK, SEEN):
        raise MalformedFrame("unknown word in migration message")
    if not (is_number(origin, MAX_NODE_ID) and origin):
        raise MalformedFrame("invalid node id in migration message")
    if not isinstance(reason, str) or not isinstance(more, dict):
        raise MalformedFrame("a field of a migration message has another type")
    _check_files(files)
    return MigrationMessage(migration, word, origin, one_line(reason), decode_details(word, more)), files


def _check_files(files: list[tuple[Any, Any]]) -> None:
    """:raises MalformedFrame: a name or a size is invalid, or they are too many or too large."""
    sizes = [size for name, size in files if isinstance(name, str) and _FILE_NAME.fullmatch(name)]
    if len(sizes) != len(files) or len({name for name, _size in files}) != len(files):
        raise MalformedFrame("invalid file name in migration message")
    if len(files) > MAX_IMAGES or not all(is_number(size, MAX_FILES_BYTES) for size in sizes):
        raise MalformedFrame("too many files in migration message, or a file of invalid size")
    if sum(sizes) > MAX_FILES_BYTES:
        raise MalformedFrame(
            f"migration message with {sum(sizes)} bytes of files, at most {MAX_FILES_BYTES} are accepted"
        )
