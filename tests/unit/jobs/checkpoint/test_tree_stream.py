"""Several trees of files travel in one stream of bytes, which is the same each time it is made."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from gomd.jobs.checkpoint.file_tree_codec import MalformedTree, TreeRefused
from gomd.jobs.checkpoint.images import is_image_name
from gomd.jobs.checkpoint.move_limits import largest
from gomd.jobs.checkpoint.tree_stream import Tree, decode, encode, unpack_as, unpack_as_root


def _open(path: Path) -> int:
    path.mkdir(exist_ok=True)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def _packed(tmp_path: Path, names: tuple[bytes, ...] | None = None) -> bytes:
    source, other = tmp_path / "source", tmp_path / "other"
    trees = [
        Tree(0, _open(source), os.getuid(), 1 << 20),
        Tree(7, _open(other), os.getuid(), 1 << 20, names),
    ]
    try:
        first = b"".join(encode(trees))
        assert b"".join(encode(trees)) == first
        return first
    finally:
        for tree in trees:
            os.close(tree.directory)


def _fill(tmp_path: Path) -> None:
    (tmp_path / "source/d").mkdir(parents=True)
    (tmp_path / "source/d/file").write_bytes(os.urandom(300_000))
    (tmp_path / "source/link").symlink_to("d/file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/wanted").write_text("yes")
    (tmp_path / "other/unwanted").write_text("no")


def test_there_and_back(tmp_path: Path) -> None:
    """Each tree goes to its place, with the names that were asked for, in this process or in a child."""
    _fill(tmp_path)
    data = _packed(tmp_path, (b"wanted",))
    one, two = _open(tmp_path / "one"), _open(tmp_path / "two")
    uid, gid = os.getuid(), os.getgid()
    groups = tuple(os.getgroups())
    child = unpack_as(one, uid, gid, groups, 1 << 20) if uid == 0 else unpack_as_root(one, 1 << 20)
    decode(io.BytesIO(data), {0: child, 7: unpack_as_root(two, 1 << 20)})
    assert (tmp_path / "one/link").read_bytes() == (tmp_path / "source/d/file").read_bytes()
    assert os.listdir(tmp_path / "two") == ["wanted"]
    os.close(one)
    os.close(two)


@pytest.mark.parametrize("cut", [0, 3, 5, 40, -1, -5])
def test_a_stream_that_is_not_whole(tmp_path: Path, cut: int) -> None:
    """It is one error, wherever it ends."""
    _fill(tmp_path)
    data = _packed(tmp_path)
    one, two = _open(tmp_path / "one"), _open(tmp_path / "two")
    with pytest.raises(TreeRefused):
        decode(io.BytesIO(data[:cut]), {0: unpack_as_root(one, 1 << 20), 7: unpack_as_root(two, 1 << 20)})
    os.close(one)
    os.close(two)


def test_a_tree_that_nobody_expects(tmp_path: Path) -> None:
    """Another node cannot choose where its files go."""
    _fill(tmp_path)
    one = _open(tmp_path / "one")
    with pytest.raises(MalformedTree, match="not expected"):
        decode(io.BytesIO(_packed(tmp_path)), {0: unpack_as_root(one, 1 << 20)})
    os.close(one)


@pytest.mark.parametrize("harm", ["link", "directory", "fifo", "other", "hard link"])
def test_a_tree_for_root_has_images_only(tmp_path: Path, harm: str) -> None:
    """criu, as root, would follow a link of another node's, or take another file for one of its own."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "pages-1.img").write_bytes(b"memory")
    forged = source / "pages-2.img"
    if harm == "link":
        forged.symlink_to("/etc/shadow")
    elif harm == "directory":
        forged.mkdir()
    elif harm == "fifo":
        os.mkfifo(forged)
    elif harm == "hard link":
        forged.hardlink_to(source / "pages-1.img")
    else:
        (source / "restore.log").write_text("")
    sent = _open(source)
    data = b"".join(encode([Tree(100, sent, 0, 1 << 20)]))
    os.close(sent)
    one = _open(tmp_path / "one")
    with pytest.raises(MalformedTree, match="no file that may be in it"):
        decode(io.BytesIO(data), {100: unpack_as_root(one, 1 << 20, is_image_name)})
    os.close(one)
    assert os.listdir(tmp_path / "one") in ([], ["pages-1.img"])


def test_too_much(tmp_path: Path) -> None:
    """Both ends have the limit."""
    _fill(tmp_path)
    one = _open(tmp_path / "one")
    with pytest.raises(TreeRefused):
        decode(io.BytesIO(_packed(tmp_path)), {0: unpack_as_root(one, 1000), 7: unpack_as_root(one, 1000)})
    os.close(one)
    with pytest.raises(TreeRefused):
        tuple(encode([Tree(0, one := _open(tmp_path / "source"), os.getuid(), 1000)]))
    os.close(one)


def test_the_size_that_is_configured() -> None:
    """0 gives jobs no directories; those of another node may still come."""
    assert (largest(5), largest(0)) == (5, 1 << 30)
