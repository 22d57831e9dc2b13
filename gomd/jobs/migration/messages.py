"""
What daemons write to each other about migrations: letters as frames, without I/O (docs/migration.md).

A letter is one frame of JSON, and behind it the bytes of the files it names. Whatever the other end sends
gives letters or `MalformedFrame`; no letter is larger than `MAX_FILES_SIZE`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from gomd.jobs.checkpoint.criu import MAX_IMAGES
from gomd.jobs.checkpoint.requirements import MAX_FILES, FileRequirement, Requirements
from gomd.jobs.migration.protocol import MessageKind
from libgomd.model import MAX_NODE_ID
from libgomd.wire.frames import LETTER, MAX_PAYLOAD, PIECE, Frame, MalformedFrame, encode, encode_json

#: Bytes of all files of one letter: criu's images without the memory are some hundred kilobytes.
MAX_FILES_SIZE: Final = 64 << 20
#: Bytes of what a process needs: two thousand files with long names.
MAX_NEEDS: Final = 16 << 20
#: Characters of a reason, and reasons that are told at once: what a person reads.
MAX_REASON: Final = 2000
MAX_REASONS: Final = 100
#: Questions beside the messages of the state machine: could this come? And the answer to it.
LOOK, SEEN = "look", "seen"
WORDS: Final[Mapping[str, MessageKind]] = {message.word: message for message in MessageKind}
#: The file of an offer that says what the process needs.
NEEDS: Final = "needs.json"
_ID: Final = re.compile(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,9})-([1-9][0-9]{0,8})-[0-9a-f]{8}")
_NAME: Final = re.compile(r"[a-z][a-z0-9.-]{0,70}")


@dataclass(frozen=True, slots=True)
class MigrationMessage:
    """
    One message.

    :ivar migration: its id, see `MigrationId`. :ivar word: of a `MessageKind`, or `LOOK` or `SEEN`.
    :ivar origin: id of the node that writes. :ivar reason: for a person.
    :ivar more: what belongs to this word. :ivar files: name to bytes.
    """

    migration: str
    word: str
    origin: int
    reason: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def message(self) -> MessageKind | None:
        """The message of the state machine, None for a question beside it."""
        return WORDS.get(self.word)


@dataclass(frozen=True, slots=True)
class MigrationId:
    """
    What the id of a migration says: ``HOME-JOB-TIMES-RANDOM``.

    :ivar times: how often the job has moved when this migration is done. Of two nodes that say a job is
        theirs the one with the larger number is right.
    """

    home: int
    job: int
    times: int

    @property
    def name(self) -> str:
        """The job's name, ``HOME-JOB``."""
        return f"{self.home}-{self.job}"

    @classmethod
    def parse(cls, text: str) -> MigrationId:
        """Return what ``text`` says. :raises MalformedFrame: it is no id."""
        found = _ID.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found[1]) > MAX_NODE_ID:
            raise MalformedFrame("no id of a migration")
        return cls(int(found[1]), int(found[2]), int(found[3]))


def encode_letter(letter: MigrationMessage) -> bytes:
    """Return the frames of ``letter``."""
    head = {
        "migration": letter.migration, "word": letter.word, "from": letter.origin,
        "reason": one_line(letter.reason),
        "more": dict(letter.more), "files": [[name, len(data)] for name, data in letter.files.items()],
    }  # fmt: skip
    pieces = [encode_json(LETTER, head)]
    for data in letter.files.values():
        pieces += [encode(PIECE, data[at : at + MAX_PAYLOAD]) for at in range(0, len(data), MAX_PAYLOAD)]
    return b"".join(pieces)


class MessageReader:
    """Takes frames as they come, gives the letters in them. After an error it is of no more use."""

    def __init__(self) -> None:
        self._head: MigrationMessage | None = None
        self._left: list[tuple[str, int]] = []
        self._files: dict[str, bytearray] = {}

    def feed(self, frame: Frame) -> Iterator[MigrationMessage]:
        """Take a frame and yield the letter that is complete with it. :raises MalformedFrame: no letter."""
        if self._head is None:
            if frame.kind != LETTER:
                raise MalformedFrame(f"a frame of kind {frame.kind} among letters")
            self._head, self._left = _head(frame.payload)
            self._files = {name: bytearray() for name, _size in self._left}
        else:
            self._take(frame)
        while self._left and len(self._files[self._left[0][0]]) == self._left[0][1]:
            del self._left[0]
        if not self._left:
            head, self._head = self._head, None
            files = {name: bytes(data) for name, data in self._files.items()}
            self._files = {}
            yield MigrationMessage(head.migration, head.word, head.origin, head.reason, head.more, files)

    def _take(self, frame: Frame) -> None:
        name, size = self._left[0]
        if frame.kind != PIECE or not 0 < len(frame.payload) <= size - len(self._files[name]):
            raise MalformedFrame("a file of a letter is not as long as it said")
        self._files[name] += frame.payload


def _head(payload: bytes) -> tuple[MigrationMessage, list[tuple[str, int]]]:
    try:
        values: dict[str, Any] = json.loads(payload)
        letter = MigrationMessage(
            values["migration"], values["word"], values["from"], values.get("reason", ""),
            values.get("more", {}),
        )  # fmt: skip
        files = [(name, size) for name, size in values.get("files", ())]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedFrame(f"no letter: {str(error)[:80]}") from error
    MigrationId.parse(letter.migration)
    if not isinstance(letter.word, str) or letter.word not in (*WORDS, LOOK, SEEN):
        raise MalformedFrame("a letter of a kind that is not known here")
    if not (_is_number(letter.origin, MAX_NODE_ID) and letter.origin):
        raise MalformedFrame("a letter from no node")
    if not isinstance(letter.reason, str) or not isinstance(letter.more, dict):
        raise MalformedFrame("a letter with a field of another type")
    sizes = [size for name, size in files if isinstance(name, str) and _NAME.fullmatch(name)]
    if len(sizes) != len(files) or len({name for name, _size in files}) != len(files):
        raise MalformedFrame("a letter with a file of no good name")
    if len(files) > MAX_IMAGES or not all(_is_number(size, MAX_FILES_SIZE) for size in sizes):
        raise MalformedFrame("a letter with too many files, or of no size")
    if sum(sizes) > MAX_FILES_SIZE:
        raise MalformedFrame(f"a letter of {sum(sizes)} bytes, at most {MAX_FILES_SIZE} are taken")
    return replace(letter, reason=one_line(letter.reason)), files


def _is_number(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def one_line(text: str) -> str:
    """Return ``text`` as a reason: one line of bounded length, whatever it is made of."""
    short = text if len(text) <= MAX_REASON else text[: MAX_REASON - 3] + "..."
    return "".join(c if c.isprintable() else "?" for c in short)


# -- what a process needs


def encode_needs(needs: Requirements) -> bytes:
    """Return ``needs`` as the bytes of the file `NEEDS`."""
    values = asdict(needs)
    if needs.memory_max is None:
        del values["memory_max"]  # a node that does not know it takes the others, and refuses these
    return json.dumps(values).encode("ascii")


def decode_needs(data: bytes) -> Requirements:
    """Return what the file `NEEDS` says. :raises MalformedFrame: for any other bytes, and nothing else."""
    if len(data) > MAX_NEEDS:
        raise MalformedFrame(f"needs of a process: {len(data)} bytes, at most {MAX_NEEDS} are taken")
    try:
        values: dict[str, Any] = json.loads(data)
        values["files"] = tuple(FileRequirement(**each) for each in values["files"])
        needs = Requirements(
            **values | {name: tuple(values[name]) for name in ("flags", "directories", "stays")}
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedFrame(f"no needs of a process: {str(error)[:80]}") from error
    texts = (needs.machine, needs.kernel, needs.user, *needs.flags, *needs.directories, *needs.stays)
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise MalformedFrame("needs of a process: a text that is none")
    if not (_is_number(needs.memory, 1 << 62) and _is_number(needs.uid, 1 << 32)):
        raise MalformedFrame("needs of a process: a number that is none")
    if needs.memory_max is not None and not _is_number(needs.memory_max, 1 << 62):
        raise MalformedFrame("needs of a process: a limit that is none")
    if len(needs.files) > MAX_FILES or len(needs.directories) > MAX_FILES:
        raise MalformedFrame("needs of a process: too many files")
    for file in needs.files:
        good = isinstance(file.path, str) and file.path.startswith("/") and "\0" not in file.path
        numbers = _is_number(file.size, 1 << 62) and _is_number(file.inode, 1 << 64)
        if not (good and numbers and isinstance(file.build_id, str) and isinstance(file.written, bool)):
            raise MalformedFrame("needs of a process: a file that is none")
    return needs
