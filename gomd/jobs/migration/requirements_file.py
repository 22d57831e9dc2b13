"""The file of a migration message that says what a job needs on the target node: `Requirements` as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from gomd.jobs.checkpoint.requirements import MAX_FILES, FileRequirement, Requirements
from libgomd.errors import CannotMove
from libgomd.wire.frames import MalformedFrame

#: The name of the file.
REQUIREMENTS_FILE: Final = "needs.json"
#: Maximum size of the file in bytes; two thousand files with long names need less.
MAX_REQUIREMENTS_BYTES: Final = 16 << 20
_MAX_UID: Final = 1 << 32
_MAX_BYTES: Final = 1 << 62
_MAX_INODE: Final = 1 << 64


def encode_requirements(requirements: Requirements) -> bytes:
    """Return ``requirements`` as the bytes of the file. :raises CannotMove: they are too long for it."""
    values = asdict(requirements)
    del values["terminals"]
    if requirements.memory_max is None:
        del values[
            "memory_max"
        ]  # a node of an older version accepts a job without a limit, and refuses others
    data = json.dumps(values).encode("ascii")
    if len(data) > MAX_REQUIREMENTS_BYTES:
        raise CannotMove("it has too many files open for another node to look at")
    return data


def decode_requirements(data: bytes) -> Requirements:
    """Return what the file says. :raises MalformedFrame: for any other bytes, and nothing else."""
    if len(data) > MAX_REQUIREMENTS_BYTES:
        raise MalformedFrame(
            f"requirements of a job: {len(data)} bytes, at most {MAX_REQUIREMENTS_BYTES} are accepted"
        )
    try:
        values: dict[str, Any] = json.loads(data)
        values["files"] = tuple(FileRequirement(**each) for each in values["files"])
        requirements = Requirements(
            **values | {name: tuple(values[name]) for name in ("flags", "directories", "stays")}
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedFrame(f"invalid requirements of a job: {str(error)[:80]}") from error
    _check(requirements)
    return requirements


def _check(requirements: Requirements) -> None:
    """:raises MalformedFrame: a field has another type, or is out of its bounds."""
    texts = (
        requirements.machine, requirements.kernel, requirements.user,
        *requirements.flags, *requirements.directories, *requirements.stays,
    )  # fmt: skip
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise MalformedFrame("requirements of a job: a text has another type, or a zero byte in it")
    if not (is_number(requirements.memory, _MAX_BYTES) and is_number(requirements.uid, _MAX_UID)):
        raise MalformedFrame("requirements of a job: a number has another type or size")
    if requirements.memory_max is not None and not is_number(requirements.memory_max, _MAX_BYTES):
        raise MalformedFrame("requirements of a job: its memory limit has another type or size")
    if len(requirements.files) > MAX_FILES or len(requirements.directories) > MAX_FILES:
        raise MalformedFrame(f"requirements of a job: more than {MAX_FILES} files or directories")
    if not all(map(_is_valid, requirements.files)):
        raise MalformedFrame("requirements of a job: invalid description of a file")


def _is_valid(file: FileRequirement) -> bool:
    return (
        isinstance(file.path, str)
        and file.path.startswith("/")
        and "\0" not in file.path
        and is_number(file.size, _MAX_BYTES)
        and is_number(file.inode, _MAX_INODE)
        and isinstance(file.build_id, str)
        and isinstance(file.written, bool)
    )


def is_number(value: object, largest: int) -> bool:
    """Whether ``value`` is an integer from 0 to ``largest``; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest
