"""Sends a frozen job's own temporary files and its large images, and unpacks those that came with a copy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from gomd.jobs.checkpoint.file_tree_codec import TreeRefused
from gomd.jobs.checkpoint.images import is_image_name, large_images
from gomd.jobs.checkpoint.move_limits import largest
from gomd.jobs.checkpoint.tree_stream import (
    STREAM_FILE,
    Tree,
    decode,
    encode,
    unpack_as,
    unpack_as_root,
)
from gomd.jobs.supervisor.kernel import inside_ipc
from gomd.jobs.supervisor.private_dirs import PrivateDirectories
from libgomd.errors import CannotMove
from libgomd.wire.job_messages import SpawnSpec
from libgomd.wire.job_orders import FreezeOrder

if TYPE_CHECKING:  # it imports ssl, which is not loaded beside every job
    from gomd.jobs.checkpoint.tree_connection import TreeSender

#: The number of the images in the stream; the private directories have those of their places.
IMAGES: Final = 100
#: Bytes of a stream that is unpacked in a moment.
_QUICK_BYTES: Final = 1 << 16
#: Bytes of images: whoever receives the stream has a limit for all of it.
_ANY_SIZE: Final = 1 << 60
_TREE: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def outside_order(order: FreezeOrder, private: PrivateDirectories) -> FreezeOrder:
    """Return ``order`` with names for its files that lead to them though /tmp is covered."""
    authorities, certificate, key = map(private.outside, order.tls)
    return order._replace(
        criu=private.outside(order.criu),
        directory=private.outside(order.directory),
        tls=(authorities, certificate, key),
    )


def send_trees(
    sender: TreeSender, directory: str, spec: SpawnSpec, private: PrivateDirectories | None
) -> None:
    """
    Send the private directories and the large images in ``directory``, and remove those images. Blocks.

    :raises CannotMove: they could not be sent.
    """
    names = large_images(directory)
    trees = [] if private is None else [
        Tree(number, os.open(place, _TREE), spec.uid, largest(spec.private_tmp))
        for number, place in enumerate(private.places)
        if os.listdir(place)
    ]  # fmt: skip
    images = tuple(map(os.fsencode, names))
    if images:
        trees.append(Tree(IMAGES, os.open(directory, _TREE), 0, _ANY_SIZE, images))
    try:
        sender.send(lambda: encode(trees))
    except TreeRefused as error:
        raise CannotMove(f"its temporary files cannot come along: {error}") from error
    for tree in trees:
        os.close(tree.directory)
    for name in names:
        os.unlink(os.path.join(directory, name))


def is_quick(directory: str, spec: SpawnSpec) -> bool:
    """Whether what came beside the images in ``directory`` is unpacked in a moment. Blocks briefly."""
    try:
        size = os.stat(os.path.join(directory, STREAM_FILE)).st_size
    except FileNotFoundError:
        size = 0
    return size < _QUICK_BYTES and not spec.carry


def unpack_trees(directory: str, spec: SpawnSpec, private: PrivateDirectories | None) -> None:
    """
    Unpack what came beside the images in ``directory``, with the rights of the job's user. Blocks.

    :raises CannotMove: it cannot be done. :raises OSError: likewise.
    """
    stream = os.path.join(directory, STREAM_FILE)
    size = largest(spec.private_tmp)
    opened = {IMAGES: os.open(directory, _TREE)}
    unpack = {IMAGES: unpack_as_root(opened[IMAGES], _ANY_SIZE, is_image_name)}
    for number, place in enumerate(() if private is None else private.places):
        here = opened[number] = os.open(place, _TREE)
        unpack[number] = (
            unpack_as(here, spec.uid, spec.gid, spec.groups, size) if spec.uid else unpack_as_root(here, size)
        )
    try:
        with open(stream, "rb") as file:
            decode(file, unpack)
    except TreeRefused as error:
        raise CannotMove(f"its temporary files cannot come to {spec.where}: {error}") from error
    finally:
        for each in opened.values():
            os.close(each)
    os.unlink(stream)


def has_shared_memory(pid: int) -> bool:
    """
    Whether there is System V shared memory in the IPC namespace of a process. Blocks briefly.

    criu cannot send it to a page server under TLS: it does so in a child of its own, with a copy of the
    connection's keys, and the two get out of step.

    :raises CannotMove: it cannot be seen.
    """
    try:
        with inside_ipc(pid), open("/proc/sysvipc/shm", "rb") as table:
            return len(table.read(65536).splitlines()) > 1
    except OSError as error:
        raise CannotMove(f"its System V shared memory cannot be seen: {error.strerror}") from error
