"""Turns criu's log into one sentence for a person. No I/O; its tests have logs of real failures."""

from __future__ import annotations

import re
from typing import Final

#: An error line: the time, ``pie:``, the level, and ``(criu/files-reg.c:2077):`` before the text.
_ERROR = re.compile(r"^(?:\(\d+\.\d+\)\s*)?(?:pie: \d+: )?(?:\s*\d+: )?Error \([^)]*\): (.*)$")
#: Lines that criu writes whether it fails or not.
_HARMLESS = re.compile(r"rlimit: Can't setup RLIMIT_NOFILE|^Dumping FAILED|^Restoring FAILED|Trimmed message")

#: Pattern of an error line, and the sentence for it. The first match in the first matching line counts.
_SENTENCES: Final = (
    (r"Connected TCP socket|In-flight connection", "it has a TCP connection open"),
    (r"inet: .*(?:socket|listen)|sockets: Can't get 1:\d+ opt", "it has a network socket open"),
    (r"External socket is used|unix: .*(?:[Dd]angling|stream unix connection|Can't dump)|half of stream",
     "it has a socket open to another program of this machine"),
    (r"Unsupported (?:socket )?(?:family|proto)|[Uu]nknown socket family|packet socket",
     "it has a socket of a kind that cannot be carried over"),
    (r"Some file locks are hold", "it holds a lock on a file"),
    (r"session leader of|dumping session leader", "it belongs to a session that began outside the job"),
    (r"tty: |ctrl tty|dangling tty", "it uses a terminal that is not the job's own"),
    (r"already (?:being )?traced|is traced by", "a debugger holds it"),
    (r"Can't seize|Unable to (?:seize|interrupt)|No process with pid|Can't lookup.*proc/\d+ ",
     "it ended, or may not be stopped, just as it was to be frozen"),
    (r"Can't get rlimit", "the kernel does not let root read its limits: the daemon lacks CAP_SYS_RESOURCE"),
    (r"Can't lookup mount=\d+ for fd=-?\d+ path=(\S+)", "{0} is on a mount that only it sees"),
    (r"[Pp]ipe.*external|[Cc]an't find.*pipe|Can't dump.*fifo|Can't dump half.*fifo",
     "it has a pipe open to a process outside the job"),
    (r"Can't dump ghost file (\S+) of", "its deleted file {0} is too large to carry over"),
    (r"Can't create link remap for (\S+?)\.? ", "its file {0} was deleted while it has it open"),
    (r"Can't dump file \d+ of that type \[\d+\] \(chr (\d+:\d+)", "it has a device ({0}) open"),
    (r"Unknown shit \d+ \((.*)\)|anon_inode:\[?(\w+)",
     "it uses a kernel object that criu does not know ({0})"),
    (r"io_uring", "it uses io_uring"),
    (r"SysVIPC shmem", "it uses System V shared memory"),
    (r"Can't restore sub-task in NS|Can't dump nested \w+ namespace",
     "one of its processes has namespaces of its own"),
    (r"doesn't have a proper root mount|[Nn]ested mount namespace", "it has a mount namespace of its own"),
    (r"Can't open file (\S+).*(?:No such file|ENOENT)", "the other node has no /{0}"),
    (r"Can't open file (\S+)", "/{0} cannot be opened on the other node"),
    (r"File (\S+) has bad (?:size|mode|build-?ID)|build-?ID.*[\s\"'](\S*/\S+)",
     "/{0} is another one on the other node"),
    (r"cpu: .*(?:not (?:present|supported)|mismatch|required)|CPU.*not supported|(?:xsave|fpu).*not present",
     "the other node's processor lacks something it uses"),
    (r"Pid \d+ do not match expected (\d+)|Can't fork for (\d+): File exists", "pid {0} is in use there"),
    (r"tls: .*(?:terminated|(?:pull|push) function|callback \w+ failed)",
     "the connection to the page server broke"),
    (r"tls: |TLS", "the page server and this node do not agree on the cluster's certificates"),
    (r"[Cc]an't connect to (?:page )?server|page-xfer|Unable to connect",
     "the connection to the page server broke"),
    (r"No space left on device", "no space is left where the images are written"),
    (r"Cannot allocate memory|Out of memory|Can't mmap|Unable to (?:mmap|map)", "there is not enough memory"),
    (r"[Cc]an't (?:join|restore) (?:ipc|net|user) ?ns", "it has namespaces of its own"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), sentence) for pattern, sentence in _SENTENCES)
_MAX_CHARACTERS = 200


def explain(log: str, unknown: str = "") -> str:
    """
    Return why criu failed, a clause without capital and full stop, never empty.

    :param log: its log, or what it printed. :param unknown: what to say instead of quoting criu.
    """
    if known := known_reason(log):
        return known
    errors = _errors(log)
    if unknown:
        return unknown
    if errors:
        return f"criu says: {_printable(errors[0])}"
    lines = [line.strip() for line in log.split("\n") if line.strip() and not _HARMLESS.search(line)]
    return f"criu says: {_printable(lines[-1])}" if lines else "criu failed without a word"


def known_reason(log: str) -> str:
    """Return the sentence for what is in criu's log, empty when there is none for it."""
    for line in _errors(log):
        for pattern, sentence in _COMPILED:
            if found := pattern.search(line):
                what = next((group for group in found.groups() if group), "")
                return _printable(sentence.format(what.strip("\"'`,:")))
    return ""


def _errors(log: str) -> list[str]:
    found = [match[1].strip() for line in log.split("\n") if (match := _ERROR.match(line))]
    return [line for line in found if not _HARMLESS.search(line)]


def missing_features(text: str) -> str:
    """Return in one line what ``criu check`` reports as missing; empty when nothing is."""
    complaints = [
        _printable(re.sub(r"^(?:Error|Warn) +\([^)]*\): ", "", line.strip()))
        for line in text.split("\n")
        if line.startswith("Error")
    ]
    return "; ".join(dict.fromkeys(complaints))[:400]


def _printable(text: str) -> str:
    """Return text that does nothing to a terminal: the log contains names that the job chose."""
    return "".join(c if c.isprintable() else "?" for c in text)[:_MAX_CHARACTERS]
