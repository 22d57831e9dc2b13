"""Images of files, made here: what criu would make by a name of the user's gets another, or is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from gomd.jobs.checkpoint.protobuf import BYTES, VARINT, Field, encode, read_fields
from gomd.jobs.checkpoint.remapped_files import keep_within
from libgomd.errors import CannotMove

_HEAD = b"\x11\x22\x33\x44\x55\x66\x77\x88"
LINKED, GHOST, PROCESS = 0, 1, 2
_REGULAR, _PIPE, _NAME = 3, 17, 6


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """Return a message of protocol buffers."""
    found: list[Field] = [(at, VARINT if isinstance(each, int) else BYTES, each) for at, each in fields]
    return encode(found)


def image(path: Path, messages: Iterable[bytes]) -> None:
    """Write an image."""
    path.write_bytes(_HEAD + b"".join(struct.pack("<I", len(each)) + each for each in messages))


def file(number: int, name: str) -> bytes:
    """Return the entry of a regular file."""
    inner = message((1, number), (2, 0o2), (3, 77), (_NAME, name.encode()), (8, 5))
    return message((1, 1), (2, number), (_REGULAR, inner))


def pipe(number: int, of: int | None) -> bytes:
    """Return the entry of a named pipe."""
    inner = message((1, number), (2, 9), *(() if of is None else ((3, of),)))
    return message((1, 16), (2, number), (_PIPE, inner))


def names(directory: Path) -> list[str]:
    """Return the names of the regular files in the images, and see that all else is as it was."""
    data, at, found = (directory / "files.img").read_bytes(), 8, []
    assert data[:8] == _HEAD
    while at < len(data):
        [size] = struct.unpack_from("<I", data, at)
        for number, _kind, value in read_fields(data[at + 4 : at + 4 + size]):
            if number == _REGULAR and isinstance(value, bytes):
                inner = {key: each for key, _, each in read_fields(value)}
                assert (inner[3], inner[8]) == (77, 5)
                name = inner[_NAME]
                assert isinstance(name, bytes)
                found.append(name.decode())
        at += 4 + size
    return found


def own(path: str) -> bool:
    """What is safe here."""
    return path.startswith("/tmp/")


def nowhere(_path: str) -> bool:
    """Nothing is safe."""
    return False


def test_deleted_files_get_a_name_where_only_root_is(tmp_path: Path) -> None:
    """Each one of its own; those with a name, and those that are the job's alone, keep theirs."""
    files = ["/home/u/kept", "/home/u/one", "/tmp/mine", "/home/u/two"]
    image(tmp_path / "files.img", [file(at, name) for at, name in enumerate(files, 1)])
    remaps = [(2, 1, GHOST), (3, 2, GHOST), (4, 3, GHOST), (1, 4, PROCESS)]
    image(tmp_path / "remap-fpath.img", [message(*enumerate(each, 1)) for each in remaps])
    assert keep_within(str(tmp_path), own, "/tmp", "h2") == 2
    first, one, mine, two = names(tmp_path)
    assert (first, mine) == (files[0], files[2])
    assert len({one, two}) == 2
    assert all(each.startswith("/tmp/.gomd-") for each in (one, two))


def test_without_such_files_nothing_changes(tmp_path: Path) -> None:
    """Nor where criu has written no image of them."""
    assert keep_within(str(tmp_path), nowhere, "", "h2") == 0
    image(tmp_path / "files.img", [file(1, "/home/u/kept")])
    before = (tmp_path / "files.img").read_bytes()
    assert keep_within(str(tmp_path), nowhere, "", "h2") == 0
    assert (tmp_path / "files.img").read_bytes() == before


@pytest.mark.parametrize("kind", [(GHOST, ""), (LINKED, "/tmp")])
def test_what_needs_its_name_is_refused(tmp_path: Path, kind: tuple[int, str]) -> None:
    """A file without a name and without a place for one, and one that has another name."""
    image(tmp_path / "files.img", [file(1, "/home/u/one"), file(2, "/tmp/link_remap.1")])
    image(tmp_path / "remap-fpath.img", [message((1, 1), (2, 2), (3, kind[0]))])
    with pytest.raises(CannotMove, match="/home/u/one cannot be made anew on h2"):
        keep_within(str(tmp_path), own if kind[1] else nowhere, kind[1], "h2")


@pytest.mark.parametrize("of", [7, None])
@pytest.mark.parametrize(("is_safe", "refused"), [(own, True), (lambda _path: True, False)])
def test_named_pipes(tmp_path: Path, of: int | None, is_safe: Callable[[str], bool], refused: bool) -> None:
    """criu writes into them what was in them: they have to be the job's own."""
    number = 3 if of is None else of
    image(tmp_path / "files.img", [file(number, "/home/u/pipe"), pipe(3, of)])
    if refused:
        with pytest.raises(CannotMove, match="/home/u/pipe"):
            keep_within(str(tmp_path), is_safe, "/tmp", "h2")
    else:
        assert keep_within(str(tmp_path), is_safe, "/tmp", "h2") == 0


def test_images_that_cannot_be_read(tmp_path: Path) -> None:
    """They are refused: criu may read them otherwise."""
    whole = file(1, "/home/u/one")
    for torn in (
        _HEAD + b"\x01",
        _HEAD + struct.pack("<I", len(whole) + 1) + whole,
        _HEAD + b"\2\0\0\0\x1a\x05",
    ):
        (tmp_path / "files.img").write_bytes(torn)
        with pytest.raises(CannotMove, match="cannot be read"):
            keep_within(str(tmp_path), own, "/tmp", "h2")
    (tmp_path / "files.img").unlink()
    image(tmp_path / "reg-files.img", [])
    with pytest.raises(CannotMove, match="too old"):
        keep_within(str(tmp_path), own, "/tmp", "h2")
