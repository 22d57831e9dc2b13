"""
The file of the history: locked, opened, checked, and set aside when it is damaged.

One daemon writes a file: it holds a lock on ``FILE.lock`` for as long as it runs. A file of a newer gomd, or
of another program, is refused and left as it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable
from typing import Final

from gomd.history.directory import open_log_directory
from gomd.history.sqlite.schema import APPLICATION_ID, STEPS, VERSION, names_in, upgrade

#: Seconds that a statement waits for a lock which another program holds on the file.
BUSY_TIMEOUT: Final = 2.0
#: Pages that SQLite keeps in memory, and pages in the write-ahead log after which they are moved to the file.
CACHE_PAGES: Final = 200
CHECKPOINT_PAGES: Final = 500
PAGE_BYTES: Final = 4096
#: File systems on which a write-ahead log does not work, because nodes do not share memory.
_NETWORK: Final = (
    "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gfs2",
    "ocfs2", "beegfs", "gpfs", "orangefs", "pvfs2", "coda", "davfs", "virtiofs", "vboxsf", "fuse.glusterfs",
    "fuse.ceph", "fuse.ceph-fuse", "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.davfs2", "fuse.gcsfuse",
    "fuse.mfs", "fuse.vmhgfs-fuse", "fuse.lizardfs", "fuse.moosefs", "fuse.juicefs",
)  # fmt: skip
NETWORK_FILE_SYSTEMS: Final = frozenset(_NETWORK)
_MAGIC: Final = b"SQLite format 3\0"


class Unusable(Exception):
    """This file must not be written; the text says why, and what to do."""


class Damaged(Exception):
    """The file is no whole database; the text says what SQLite found."""


def take_lock(path: str) -> int:
    """
    Return a descriptor that holds the lock of the history at ``path``. Blocks briefly.

    :raises Unusable: another daemon has it. :raises OSError: the lock file cannot be made.
    """
    os.close(open_log_directory(os.path.dirname(path), os.path.basename(path)))
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(f"{path}.lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise Unusable(
            f"another daemon writes the history {path}: give each daemon a [node] state_dir or "
            "[history] file of its own"
        ) from error
    return descriptor


def open_file(path: str, use_wal: bool) -> sqlite3.Connection:
    """
    Return a connection that writes the history at ``path``, made with mode 0600 if it is missing. Blocks.

    :param use_wal: whether to use a write-ahead log, so that readers and the writer need not wait.
    :raises Unusable: the file is a newer gomd's, or another program's.
    :raises Damaged: it is no whole database. :raises OSError, sqlite3.Error: it cannot be opened now.
    """
    os.close(open_log_directory(os.path.dirname(path), os.path.basename(path)))
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        start = os.pread(descriptor, len(_MAGIC), 0)
    finally:
        os.close(descriptor)
    if start and start != _MAGIC:
        raise Damaged("it does not begin as a database does")
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )  # closed by the thread that stops it
    try:
        _prepare(connection, path, use_wal, is_new=not start)
    except sqlite3.DatabaseError as error:
        connection.close()
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str, use_wal: bool, is_new: bool) -> None:
    if is_new:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [owner] = connection.execute("PRAGMA application_id").fetchone()
    if owner != APPLICATION_ID and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise Unusable(f"{path} is a database of another program: name another [history] file")
    if version <= 0 < owner and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise Damaged(f"it has tables, but their version is {version}")
    if version > VERSION:
        raise Unusable(
            f"{path} was written by a newer gomd (its tables have version {version}, this gomd knows "
            f"{VERSION}): install that gomd again, or move the file away to begin a new one"
        )
    connection.execute(f"PRAGMA cache_size = {CACHE_PAGES}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_mode = {'WAL' if use_wal else 'TRUNCATE'}")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {CHECKPOINT_PAGES * PAGE_BYTES}")
    upgrade(connection)
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if missing := names_in(STEPS) - there:
        raise Damaged(f"its table {min(missing)} is missing")


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error of SQLite means that the file is damaged, and not only out of reach."""
    text = str(error)
    return "malformed" in text or "not a database" in text or "disk image" in text


def shorten_log(connection: sqlite3.Connection, path: str, most: int) -> bool:
    """
    Return whether the write-ahead log has at most ``most`` bytes. Blocks.

    If it has more, it is moved to the file, which cannot be done while another program holds a transaction.
    """
    log = f"{path}-wal"
    if not os.path.exists(log) or os.path.getsize(log) <= most:
        return True
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not os.path.exists(log) or os.path.getsize(log) <= most


def set_aside(path: str, stamp: str) -> str:
    """
    Rename a damaged file, and what belongs to it, and return its new name. Blocks.

    :param stamp: a moment in words, part of the new name. :raises OSError: it cannot be renamed.
    """
    aside = f"{path}.damaged-{stamp}"
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = f"{path}.damaged-{stamp}-{number}"
    os.rename(path, aside)
    for end in ("-wal", "-shm", "-journal"):
        try:
            os.rename(path + end, aside + end)
        except FileNotFoundError:
            pass
    return aside


def file_system_of(path: str, mounts: str) -> str:
    """
    Return the type of the file system of ``path``, empty when it is not known.

    :param mounts: the text of /proc/self/mountinfo.
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields, separator, rest = line.partition(" - ")
        words = fields.split()
        if not separator or len(words) < 5 or not rest:
            continue
        place = words[4].encode().decode("unicode_escape", "replace") if "\\" in words[4] else words[4]
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= best:  # a later mount hides an earlier one at the same place
            best, kind = len(place), rest.split()[0]
    return kind


def on_network(path: str, read: Callable[[], str]) -> bool:
    """Return whether ``path`` lies on a file system of the network, as far as is known. Blocks."""
    try:
        kind = file_system_of(os.path.realpath(os.path.dirname(path)), read())
    except OSError:
        return False
    return kind in NETWORK_FILE_SYSTEMS


def read_mounts() -> str:
    """Return the mounts that this process sees. Blocks. :raises OSError: /proc is not there."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        return file.read()
