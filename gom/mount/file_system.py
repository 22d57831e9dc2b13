"""The tree as a FUSE file system: the only file that knows mfusepy, or fusepy, which it comes from."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from typing import Any, Final

from gom.mount.tree_files import OpenFile, TreeFiles
from libgomd.errors import NotPossible
from libgomd.installation import installation

#: Files that may be open at a time.
_MAX_OPEN: Final = 1024


def library() -> Any:
    """Return the module that binds libfuse. :raises NotPossible: neither it nor libfuse is there."""
    try:
        import mfusepy as fuse
    except ImportError:
        try:
            import fuse  # Debian's python3-fusepy
        except (ImportError, OSError):
            raise NotPossible(f"a library for FUSE is missing: {installation().libraries('mount')}") from None
    except OSError as error:
        raise NotPossible(f"libfuse is missing: apt install fuse3 ({error})") from error
    return fuse


def operations(fuse: Any, files: TreeFiles, uid: int, gid: int, allows_others: bool) -> Any:
    """
    Return the operations that libfuse calls.

    :param uid: of the user who mounts it, whose rights every request has. :param allows_others: whether other
        users may read, with these rights; nobody else may ever write.
    """

    class Operations(fuse.Operations):
        """What the kernel asks, by the names of fuse.h. An error is the number that it is told."""

        # For fusepy and mfusepy alike: times are left out, every file has those of the mount.
        use_ns = False

        def __init__(self) -> None:
            self._open: dict[int, OpenFile] = {}
            self._last = 0
            self._lock = threading.Lock()

        def getattr(self, path: str, fh: object = None) -> dict[str, Any]:
            """What a path is."""
            entry = _told(fuse, lambda: files.entry(path))
            kind = stat.S_IFDIR if entry.is_directory else stat.S_IFREG
            return {
                "st_mode": kind | entry.mode, "st_nlink": 1 + entry.is_directory, "st_size": entry.size,
                "st_uid": uid, "st_gid": gid,
            }  # fmt: skip

        def readdir(self, path: str, fh: object) -> list[str]:
            """The names in a directory."""
            return [".", "..", *_told(fuse, lambda: files.names(path))]

        def open(self, path: str, fi: Any) -> int:
            """Read a file whole, so that what is read is of one moment."""
            writes = fi.flags & os.O_ACCMODE != os.O_RDONLY
            if writes and fuse.fuse_get_context()[0] != uid:
                raise fuse.FuseOSError(errno.EACCES)
            reads = fi.flags & os.O_ACCMODE != os.O_WRONLY
            found = _told(fuse, lambda: files.opened(path)) if reads else None
            with self._lock:
                if len(self._open) >= _MAX_OPEN:
                    raise fuse.FuseOSError(errno.ENFILE)
                self._last += 1
                if found is not None:
                    self._open[self._last] = found
                fi.fh = self._last
            fi.direct_io = 1  # a file is as long as its content, whatever its size says
            return 0

        def read(self, path: str, size: int, offset: int, fi: Any) -> bytes:
            """Read."""
            found = self._open.get(fi.fh)
            return b"" if found is None else found.read(size, offset)

        def write(self, path: str, data: bytes, offset: int, fi: Any) -> int:
            """Write a value; the answer comes when it has taken effect."""
            _told(fuse, lambda: files.write(path, data))
            return len(data)

        def truncate(self, path: str, length: int, fh: object = None) -> int:
            """`echo 1 >FILE` empties it first; there is nothing to empty."""
            return 0

        def release(self, path: str, fi: Any) -> int:
            """Forget a file that was closed."""
            with self._lock:
                self._open.pop(fi.fh, None)
            return 0

        def access(self, path: str, amode: int) -> int:
            """Others may not write."""
            if amode & os.W_OK and fuse.fuse_get_context()[0] != uid:
                raise fuse.FuseOSError(errno.EACCES)
            return 0

    return Operations()


def _told(fuse: Any, what: Callable[[], Any]) -> Any:
    """Do something; an error becomes its number for the kernel."""
    try:
        return what()
    except OSError as error:
        raise fuse.FuseOSError(error.errno or errno.EIO) from error
