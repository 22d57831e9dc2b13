"""
A file system that never answers, and processes whose exec waits for it: run with ``python -m``, as root.

In a mount namespace of its own it mounts a FUSE file system whose server, this program, answers everything
but the flush of a closed file. Each line it reads, a user id, starts a process of that user that has a file
there open, to be closed by its exec; its process id is printed when it hangs, until this program ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen

_INIT, _LOOKUP, _GETATTR, _OPEN, _FLUSH, _FORGET, _INTERRUPT = 26, 1, 3, 14, 25, 2, 36
_ENOSYS = 38
_NEVER = (_FLUSH, _FORGET, _INTERRUPT)
#: Released for each process that hangs.
_flushing = threading.Semaphore(0)
_MS_REC_PRIVATE = (1 << 14) | (1 << 18)


class DeadMount:
    """The program, as a test sees it. :ivar pids: of the processes that it has started."""

    def __init__(self, process: Popen[str]) -> None:
        self._process = process
        self.pids: list[int] = []

    def hang(self, uid: int = 0) -> int:
        """Start a process of user ``uid`` that hangs in its exec; return its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{uid}\n")
        self._process.stdin.flush()
        self.pids.append(int(self._process.stdout.readline()))
        return self.pids[-1]

    def answer(self) -> None:
        """Let everything go: the connection ends with the server."""
        self._process.kill()
        self._process.wait()


@contextmanager
def dead_mount(directory: str) -> Iterator[DeadMount]:
    """A file system that never answers at ``directory``, for processes started by it alone."""
    mount: DeadMount | None = None
    process = Popen(
        ["unshare", "-m", "--propagation", "private", sys.executable, "-m", __name__, directory],
        stdin=PIPE, stdout=PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "mounted\n", "no FUSE here"
        mount = DeadMount(process)
        yield mount
    finally:
        process.kill()
        process.wait()
        for pid in mount.pids if mount is not None else ():
            os.kill(pid, signal.SIGKILL)


def _attributes(inode: int) -> bytes:
    mode = 0o040755 if inode == 1 else 0o100644
    return struct.pack("<QQQQQQIIIIIIIIII", inode, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def _serve(connection: int) -> None:
    while True:
        request = os.read(connection, 1 << 17)
        _length, code, unique, node, *_rest = struct.unpack_from("<IIQQIIII", request)
        if code == _FLUSH:
            _flushing.release()
        if code in _NEVER:
            continue
        bodies = {
            _INIT: struct.pack("<IIIIHHIIHHIII", 7, 31, 0, 0, 12, 10, 4096, 1, 0, 0, 0, 0, 0) + bytes(16),
            _LOOKUP: struct.pack("<QQQQII", 2, 0, 1, 1, 0, 0) + _attributes(2),
            _GETATTR: struct.pack("<QII", 1, 0, 0) + _attributes(node),
            _OPEN: struct.pack("<QII", 1, 0, 0),
        }
        body = bodies.get(code)
        error = 0 if body is not None else -_ENOSYS
        body = body or b""
        os.write(connection, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


def _start(directory: str, uid: int, connection: int) -> int:
    """Fork a process that hangs in its exec; it does so when this returns."""
    pid = os.fork()
    if pid == 0:
        os.close(connection)
        os.open(f"{directory}/file", os.O_RDONLY | os.O_CLOEXEC)
        if uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        os.execv("/bin/sleep", ["hanging-sleep", "1000"])
    _flushing.acquire()
    return pid


def main() -> None:
    """Mount, and start what is asked for, until the end of the input."""
    directory = sys.argv[1]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None)
    connection = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={connection},rootmode=40000,user_id=0,group_id=0,allow_other"
    if libc.mount(b"dead", directory.encode(), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), "no FUSE can be mounted")
    threading.Thread(target=_serve, args=(connection,), daemon=True).start()
    print("mounted", flush=True)
    for line in sys.stdin:
        print(_start(directory, int(line), connection), flush=True)


if __name__ == "__main__":
    main()
