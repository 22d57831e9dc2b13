"""
Keeps the logs of criu's failures for root, and names one in a sentence for the person whose job did not move.

A log has names and addresses of the job's files and memory, so only root may read it; it lies beside the
images' directory. Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Final

#: The directory of the logs, beside that of the images.
DIRECTORY: Final = "criu-logs"
#: Logs that are kept; the oldest ones are removed.
MAX_LOGS: Final = 20
#: Bytes that are kept of one: its end, where the failure is.
MAX_BYTES: Final = 256 * 1024
_PLACE: Final = re.compile(r"Error \((?:criu/)?([\w./-]+?)\.[ch]:\d+\): (.*)")
_PROCESS: Final = re.compile(r"\b(?:pid|task|process)[ :=#]*(\d+)\b|^\(\d+\.\d+\)\s+(\d+): ", re.IGNORECASE)
#: What the files of criu's source are about, as they begin.
_KINDS: Final = (
    ("sk-", "a socket"), ("sockets", "a socket"), ("net", "a network"), ("files-reg", "a file"),
    ("file-lock", "a lock on a file"), ("pipes", "a pipe"), ("fifo", "a named pipe"), ("tty", "a terminal"),
    ("fsnotify", "a watch on a file"), ("event", "an event descriptor"), ("signalfd", "a signal descriptor"),
    ("timerfd", "a timer"), ("timer", "a timer"), ("memfd", "memory in a file"), ("aio", "asynchronous I/O"),
    ("mount", "its mounts"), ("namespaces", "its namespaces"), ("ipc", "System V objects"),
    ("seccomp", "its seccomp filters"), ("cgroup", "its cgroups"), ("files", "an open file"),
    ("pidfd", "a process descriptor"), ("tls", "the connection to the other node"),
    ("page-xfer", "the connection to the other node"), ("mem", "its memory"), ("pagemap", "its memory"),
    ("shmem", "shared memory"), ("parasite", "its memory"), ("compel", "its registers or memory"),
    ("arch", "its registers"), ("cpu", "its processor's features"), ("vdso", "its vdso"),
    ("proc_parse", "its entries in /proc"), ("cr-restore", "its processes"), ("pstree", "its processes"),
    ("rst-malloc", "its memory"), ("image", "its images"), ("protobuf", "its images"),
)  # fmt: skip


def describe(log: str, task: str, place: str) -> str:
    """
    Return a clause for a failure that nobody has words for: the process, what it was about, the log's place.

    :param log: criu's. :param task: ``dump`` or ``restore``. :param place: of the log, empty when it is not
        kept.
    """
    error = next((line for line in log.split("\n") if "Error (" in line), "")
    found = _PLACE.search(error)
    name = "" if found is None else found[1].removeprefix("lib/").rpartition("/")[2]
    kind = next((words for begin, words in _KINDS if name.startswith(begin)), "")
    process = _PROCESS.search(error) or _PROCESS.search(log)
    which = f"process {process[1] or process[2]} of the job" if process else "the job"
    about = f" because of {kind}" if kind else ""
    where = f"its log is {place}, for root" if place else "its log could not be kept"
    return f"criu could not {task} {which}{about}: {where}"


def keep(directory: str, name: str, log: str) -> str:
    """
    Keep a log. Blocks.

    :param directory: of the images. :param name: of the log, such as ``dump``.
    :returns: its path, empty when there is no place for it.
    """
    base = os.path.join(os.path.dirname(os.path.dirname(directory.rstrip("/"))), DIRECTORY)
    path = os.path.join(base, f"{os.path.basename(directory.rstrip('/'))}-{name}.log")
    try:
        with suppress(FileExistsError):
            os.mkdir(base, 0o700)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(number, "wb") as file:
            file.write(log.encode("utf-8", "replace")[-MAX_BYTES:])
        _remove_oldest(base)
    except OSError:
        return ""
    return path


def _remove_oldest(base: str) -> None:
    known = sorted(os.scandir(base), key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
    for entry in known[: max(0, len(known) - MAX_LOGS)]:
        with suppress(OSError):
            os.unlink(entry.path)
