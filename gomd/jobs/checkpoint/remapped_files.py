"""
Sees to it that criu, which restores a user's job as root, makes no file by a name that its user can change.

Of a file that has no name any more criu makes a new one, for a moment, by the name that it had; of one that
has other names only, it makes a link; and into a named pipe it writes what was in it. It does so with root's
rights, and follows links. A user who puts a link in the place of a directory would have a file of theirs in
any directory. Only the job's own temporary directories are safe: nobody but root gets into them before the
copy runs. So in the images the deleted files get a name there, and what needs its own name is refused.

An image is two words, then messages of protocol buffers, each behind its length. Standard library only:
supervisors use it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from gomd.jobs.checkpoint.protobuf import BYTES, Field, Values, encode, read_fields, readable_values
from libgomd.errors import CannotMove

_FILES: Final = "files.img"
_REMAPS: Final = "remap-fpath.img"
#: Images of criu's that an older version writes in place of `_FILES`, which nobody here reads.
_OLD_FILES: Final = ("reg-files.img", "fifo.img")
#: Fields of a file: what it is as a regular file or directory, and as a named pipe.
_REGULAR, _PIPE = 3, 17
#: Fields of a regular file, and the one of a named pipe that names its regular file.
_ID, _NAME, _PIPE_FILE = 1, 6, 3
#: Fields of a file that is restored by another name, and the kinds of it: a link, a file without a name.
_ORIGINAL, _OTHER, _KIND = 1, 2, 3
_LINKED, _GHOST = 0, 1
_HEAD: Final = 8
_MAX_IMAGE_BYTES: Final = 256 << 20


def keep_within(directory: str, is_safe: Callable[[str], bool], place: str, where: str) -> int:
    """
    Change the images in ``directory`` so that criu makes and writes files in safe directories only. Blocks.

    :param is_safe: whether a path leads into a directory of the job's own, over no link.
    :param place: a directory of the job's own for the others; empty for none. :param where: this node.
    :returns: how many files have another name now.
    :raises CannotMove: there is a file that cannot be made so, or the images cannot be read.
    :raises OSError: likewise.
    """
    if any(os.path.exists(os.path.join(directory, name)) for name in _OLD_FILES):
        raise CannotMove(f"its images are of a criu that is too old for {where}")
    path = os.path.join(directory, _FILES)
    try:
        head, files = _read(path)
        remaps = [_numbers(each) for each in _read(os.path.join(directory, _REMAPS))[1]]
        nameless = {found[_ORIGINAL] for found in remaps if found.get(_KIND, _LINKED) == _GHOST}
        fixed = {
            found[number]
            for found in remaps if found.get(_KIND, _LINKED) == _LINKED for number in (_ORIGINAL, _OTHER)
        }  # fmt: skip
        fixed |= set(_pipes(files))
        changed = [_changed(each, nameless, fixed, is_safe, place, where) for each in files]
    except (ValueError, KeyError, struct.error) as error:
        raise CannotMove(f"its images cannot be read on {where}") from error
    count = sum(new != old for new, old in zip(changed, files, strict=True))
    if count:
        with open(path, "wb") as file:
            file.write(head + b"".join(struct.pack("<I", len(each)) + each for each in changed))
    return count


def _changed(
    message: bytes,
    nameless: Collection[int | bytes],
    fixed: Collection[int | bytes],
    is_safe: Callable[[str], bool],
    place: str,
    where: str,
) -> bytes:
    """Return an entry of the files with another name, if criu must not make it by its own."""
    fields = list(read_fields(message))
    for at, (number, _kind, value) in enumerate(fields):
        if number != _REGULAR or not isinstance(value, bytes):
            continue
        inner = list(read_fields(value))
        [identity] = [each for key, _, each in inner if key == _ID]
        [name] = [each for key, _, each in inner if key == _NAME]
        if identity not in nameless and identity not in fixed:
            continue
        path = os.fsdecode(name) if isinstance(name, bytes) else ""
        if is_safe(path):
            continue
        if identity in fixed or not place:
            raise CannotMove(
                f"its file {path} cannot be made anew on {where}: only in its own temporary directories"
            )
        new = f"{place}/.gomd-{os.urandom(8).hex()}"
        renamed: list[Field] = [(k, kind, new.encode() if k == _NAME else each) for k, kind, each in inner]
        fields[at] = (_REGULAR, BYTES, encode(renamed))
        return encode(fields)
    return message


def _pipes(files: Iterable[bytes]) -> Iterator[int]:
    """Yield the numbers of the regular files that are the names of pipes."""
    for message in files:
        for number, _kind, value in read_fields(message):
            if number == _PIPE and isinstance(value, bytes):
                found = _numbers(value)
                yield found.get(_PIPE_FILE, found[_ID])
                yield found[_ID]


def _numbers(message: bytes) -> dict[int, int]:
    """Return the last number of each field, as criu takes it."""
    found: Values = readable_values(message)
    return {number: each[-1] for number, each in found.items() if isinstance(each[-1], int)}


def _read(path: str) -> tuple[bytes, list[bytes]]:
    """Return the head of an image and its messages, or nothing. :raises ValueError: it is torn."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_IMAGE_BYTES + 1)
    except FileNotFoundError:
        return b"", []
    if len(data) > _MAX_IMAGE_BYTES:
        raise ValueError("an image that is too large")
    found, at = [], _HEAD
    while at < len(data):
        [size] = struct.unpack_from("<I", data, at)
        if at + 4 + size > len(data):
            raise ValueError("a torn image")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return data[:_HEAD], found
